// layout.test.mjs - the layout of the map keeps its promises on the three seeded meshes.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { seededMesh } from "./samples.mjs";
import { loadUi } from "./support.mjs";

const MESHES = [
    [30, 45],
    [200, 379],
    [1000, 1802],
];
const PERCEIVED = 34; // a box that moves farther looks moved

let layOut, churn, linkKey, rank, order, place;

before(async () => {
    ({ layOut, churn, linkKey } = await loadUi("layout/layout.ts"));
    rank = await loadUi("layout/rank.ts");
    order = await loadUi("layout/order.ts");
    place = await loadUi("layout/place.ts");
});

const plain = (picture) => JSON.stringify([[...picture.boxes], [...picture.routes], picture.pitch]);

function shuffled(list) {
    return [...list]
        .map((item, i) => [(i * 7919) % list.length, item])
        .sort((a, b) => a[0] - b[0])
        .map(([, item]) => item);
}

/** Boxes keep apart from each other and from the lines that pass their column. */
function assertNoOverlap(picture) {
    const columns = new Map();
    const add = (rankOf, item) => columns.set(rankOf, [...(columns.get(rankOf) ?? []), item]);
    for (const box of picture.boxes.values())
        add(box.rank, { y: box.y, height: box.height, name: box.id });
    for (const [key, route] of picture.routes)
        for (const passage of route.passages)
            add(passage.rank, { y: passage.y, height: 0, name: key });
    for (const column of columns.values()) {
        column.sort((a, b) => a.y - b.y);
        for (let i = 1; i < column.length; i++) {
            const gap =
                column[i].y - column[i - 1].y - (column[i].height + column[i - 1].height) / 2;
            assert.ok(gap >= 4.99, `${column[i - 1].name} and ${column[i].name} are ${gap} apart`);
        }
    }
}

/** A route passes exactly the columns between its ends, in order. */
function assertRoutes(picture, links) {
    for (const { from, to } of links) {
        const route = picture.routes.get(linkKey(from, to));
        const [a, b] = [picture.boxes.get(from).rank, picture.boxes.get(to).rank];
        const way = Math.sign(b - a);
        const between = [];
        for (let r = a + way; way !== 0 && r !== b; r += way) between.push(r);
        assert.deepEqual(
            route.passages.map((p) => p.rank),
            between,
            `${from} to ${to}`,
        );
        assert.equal(route.shape, way > 0 ? "forward" : way < 0 ? "back" : "side");
    }
}

function moves(before, after) {
    const far = [...before.boxes.values()].map((box) => {
        const now = after.boxes.get(box.id);
        return now ? Math.hypot(now.x - box.x, now.y - box.y) : 0;
    });
    return {
        mean: far.reduce((sum, d) => sum + d, 0) / far.length,
        farShare: far.filter((d) => d > PERCEIVED).length / far.length,
    };
}

for (const [n, m] of MESHES) {
    test(`${n} services: the same picture again, whatever the order of arrival`, () => {
        const { boxes, links } = seededMesh(n, m);
        const once = layOut(boxes, links);
        assert.equal(plain(layOut(boxes, links)), plain(once));
        assert.equal(plain(layOut(shuffled(boxes), shuffled(links))), plain(once));
    });

    test(`${n} services: nothing overlaps, no line through a box`, () => {
        const { boxes, links } = seededMesh(n, m);
        const picture = layOut(boxes, links);
        assert.equal(picture.boxes.size, n);
        assertNoOverlap(picture);
        assertRoutes(picture, links);
    });

    test(`${n} services: a newcomer hardly moves the others`, () => {
        const { boxes, links } = seededMesh(n, m);
        const picture = layOut(boxes, links);
        const tried = [];
        for (const at of [2, Math.floor(n / 3), n - 4]) {
            const newcomer = { id: "newcomer", width: 162, height: 46 };
            const calls = [
                { from: `s${at}`, to: "newcomer" },
                { from: "newcomer", to: `s${(at * 13) % n}` },
            ];
            const next = layOut([...boxes, newcomer], [...links, ...calls], picture);
            assertNoOverlap(next);
            assertRoutes(next, [...links, ...calls]);
            tried.push(moves(picture, next));
        }
        const worstMean = Math.max(...tried.map((t) => t.mean));
        const worstShare = Math.max(...tried.map((t) => t.farShare));
        assert.ok(worstMean <= 20, `mean move ${worstMean}`);
        // One box of thirty is already 3 %.
        assert.ok(worstShare <= Math.max(0.03, 2 / n), `${worstShare} of the boxes moved far`);
    });

    test(`${n} services: five in a hundred leave and come`, () => {
        const { boxes, links } = seededMesh(n, m);
        const picture = layOut(boxes, links);
        const swap = (id) => (Number(id.slice(1)) % 20 === 3 ? `new${id}` : id);
        const nextBoxes = boxes.map((box) => ({ ...box, id: swap(box.id) }));
        const nextLinks = links.map(({ from, to }) => ({ from: swap(from), to: swap(to) }));
        const next = layOut(nextBoxes, nextLinks, picture);
        assertNoOverlap(next);
        assertRoutes(next, nextLinks);
        const { mean } = moves(picture, next);
        assert.ok(mean <= 40, `mean move ${mean}`);
    });
}

test("an unchanged mesh keeps its picture to the last digit", () => {
    const { boxes, links } = seededMesh(200, 379);
    const picture = layOut(boxes, links);
    const again = layOut(boxes, links, picture);
    for (const box of picture.boxes.values()) {
        assert.ok(Math.abs(again.boxes.get(box.id).y - box.y) < 1e-6);
        assert.equal(again.boxes.get(box.id).x, box.x);
    }
});

test("calls run to the right, and one that closes a circle runs back", () => {
    const boxes = ["a", "b", "c"].map((id) => ({ id, width: 100, height: 40 }));
    const links = [
        { from: "a", to: "b" },
        { from: "b", to: "c" },
        { from: "c", to: "a" },
    ];
    const picture = layOut(boxes, links);
    const shapes = links.map(({ from, to }) => picture.routes.get(linkKey(from, to)).shape);
    assert.deepEqual(shapes.filter((shape) => shape === "back").length, 1);
});

test("a box that calls itself, boxes without lines, and no boxes at all", () => {
    const one = layOut([{ id: "a", width: 100, height: 40 }], [{ from: "a", to: "a" }]);
    assert.equal(one.routes.get(linkKey("a", "a")).shape, "self");
    const three = layOut(
        ["a", "b", "c"].map((id) => ({ id, width: 100, height: 40 })),
        [],
    );
    assertNoOverlap(three);
    assert.equal(layOut([], []).boxes.size, 0);
});

test("with fewer than half of the boxes old the picture is made anew", () => {
    const few = seededMesh(30, 45);
    const small = layOut(few.boxes.slice(0, 5), []);
    const grown = layOut(few.boxes, few.links, small);
    assert.equal(plain(grown), plain(layOut(few.boxes, few.links)));
});

test("churn counts who came and who went", () => {
    assert.equal(churn(["a", "b"], ["a", "b"]), 0);
    assert.equal(churn(["a", "b", "c"], ["a", "b", "d"]), 0.5);
    assert.equal(churn([], []), 0);
});

test("ranks: sources are pulled to what they call", () => {
    const edges = [
        { from: 0, to: 1 },
        { from: 1, to: 2 },
        { from: 3, to: 2 },
    ];
    assert.deepEqual(rank.assignRanks(4, rank.breakCycles(4, edges)), [0, 1, 2, 1]);
});

test("order: two crossed pairs are uncrossed", () => {
    const layers = {
        rows: [
            [0, 1],
            [2, 3],
        ],
        left: [[], [], [1], [0]],
        right: [[3], [2], [], []],
    };
    assert.equal(order.countCrossings(layers), 1);
    order.reduceCrossings(layers);
    assert.equal(order.countCrossings(layers), 0);
});

test("place: wishes are granted where they do not collide, and shared where they do", () => {
    const gap = () => 10;
    const wish = (item, y, weight = 1) => ({ item, y, weight });
    assert.deepEqual(place.settle([wish(0, 0), wish(1, 50)], gap), [0, 50]);
    assert.deepEqual(place.settle([wish(0, 20), wish(1, 20)], gap), [15, 25]);
    assert.deepEqual(place.settle([wish(0, 20, 3), wish(1, 20, 1)], gap), [17.5, 27.5]);
    assert.deepEqual(place.settle([], gap), []);
});
