// build.mjs - builds the page: npm ci, tsc, esbuild. Run by meson:
//
//   node build.mjs SOURCE_DIR OUT_DIR WORK_DIR
//
// The source tree stays clean: packages are installed under WORK_DIR, next to a link to the
// sources, and both compilers are told to follow the link's own path (preserveSymlinks), so that
// `import "preact"` finds the packages.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { installPackages } from "./packages.mjs";

const [source, out, work] = process.argv.slice(2).map((dir) => resolve(dir));

function stop(...lines) {
    console.error(["", ...lines, ""].join("\n  web: "));
    process.exit(1);
}

function checkTypes() {
    const compiler = join(work, "node_modules/typescript/bin/tsc");
    const tsc = spawnSync(process.execPath, [compiler, "--noEmit", "-p", work], {
        cwd: work,
        encoding: "utf8",
    });
    if (tsc.status !== 0)
        stop("the types do not hold:", ...`${tsc.stdout}${tsc.stderr}`.trim().split("\n"));
}

async function bundle() {
    const esbuild = createRequire(join(work, "package.json"))("esbuild");
    await esbuild.build({
        absWorkingDir: work,
        entryPoints: [
            { in: "ui/app.tsx", out: "app" },
            { in: "ui/app.css", out: "app" },
            { in: "ui/trace/page.tsx", out: "trace" },
            { in: "ui/trace/trace.css", out: "trace" },
        ],
        outdir: out,
        bundle: true,
        minify: true,
        format: "esm",
        target: "es2022",
        charset: "utf8",
        legalComments: "none",
        preserveSymlinks: true,
        tsconfig: join(work, "tsconfig.json"),
        logLevel: "warning",
    });
    for (const name of ["index.html", "trace.html", "icon.svg"])
        cpSync(join(source, "ui", name), join(out, name));
}

const trouble = installPackages(source, work);
if (trouble) stop(...trouble);
cpSync(join(source, "tsconfig.json"), join(work, "tsconfig.json"));
if (!existsSync(join(work, "ui"))) symlinkSync(join(source, "ui"), join(work, "ui"));
checkTypes();
await bundle().catch(() => process.exit(1));
