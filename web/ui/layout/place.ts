// place.ts - heights within a column, the order being given.
//
// Every item wishes to be level with its neighbours, and items of a column must not overlap. After
// subtracting the running sum of smallest distances, "no overlap" reads "not decreasing", so the
// best heights for one column are an isotonic regression, and pool-adjacent-violators finds it in
// linear time: items that would overlap are pooled and share the weighted mean of their wishes.

export interface Wish {
    item: number;
    y: number;
    weight: number;
}

/** Heights for a column from its wishes; gap(a, b) is the smallest distance of two centres. */
export function settle(wishes: Wish[], gap: (a: number, b: number) => number): number[] {
    const offset: number[] = [];
    for (let i = 0, sum = 0; i < wishes.length; i++) {
        if (i > 0) sum += gap(wishes[i - 1]!.item, wishes[i]!.item);
        offset.push(sum);
    }
    const pools: { mean: number; weight: number; len: number }[] = [];
    for (let i = 0; i < wishes.length; i++) {
        let pool = { mean: wishes[i]!.y - offset[i]!, weight: wishes[i]!.weight, len: 1 };
        for (let last = pools.at(-1); last && last.mean > pool.mean; last = pools.at(-1)) {
            const weight = last.weight + pool.weight;
            const mean = (last.mean * last.weight + pool.mean * pool.weight) / weight;
            pool = { mean, weight, len: last.len + pool.len };
            pools.pop();
        }
        pools.push(pool);
    }
    const heights: number[] = [];
    for (const pool of pools)
        for (let k = 0; k < pool.len; k++) heights.push(pool.mean + offset[heights.length]!);
    return heights;
}
