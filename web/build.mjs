// build.mjs - builds the page: npm ci, tsc, esbuild. Run by meson:
//
//   node build.mjs SOURCE_DIR OUT_DIR WORK_DIR
//
// The source tree stays clean: packages are installed under WORK_DIR, next to a link to the
// sources, and both compilers are told to follow the link's own path (preserveSymlinks), so that
// `import "preact"` finds the packages. The network is needed only when package-lock.json changes;
// a copy of it beside node_modules tells for which one they were installed.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const [source, out, work] = process.argv.slice(2).map((dir) => resolve(dir));

function stop(...lines) {
    console.error(["", ...lines, ""].join("\n  web: "));
    process.exit(1);
}

function run(command, args) {
    const done = spawnSync(command, args, { cwd: work, encoding: "utf8" });
    return { ok: done.status === 0, text: `${done.stdout ?? ""}${done.stderr ?? ""}${done.error ?? ""}` };
}

function sameText(a, b) {
    return existsSync(a) && existsSync(b) && readFileSync(a, "utf8") === readFileSync(b, "utf8");
}

function installPackages() {
    const installed = join(work, "installed-lock.json");
    if (sameText(installed, join(source, "package-lock.json")) && existsSync(join(work, "node_modules")))
        return;
    rmSync(installed, { force: true });
    const npm = run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
    if (!npm.ok)
        stop(
            "npm could not install the packages that build the dashboard:",
            ...npm.text.trim().split("\n").slice(0, 12),
            "Check the network and npm's registry setting; once it worked, no network is needed again.",
            "Or build without the dashboard: meson configure BUILDDIR -Dweb=disabled",
        );
    cpSync(join(source, "package-lock.json"), installed);
}

function checkTypes() {
    const tsc = run(process.execPath, [join(work, "node_modules/typescript/bin/tsc"), "--noEmit", "-p", work]);
    if (!tsc.ok) stop("the types do not hold:", ...tsc.text.trim().split("\n"));
}

async function bundle() {
    const esbuild = createRequire(join(work, "package.json"))("esbuild");
    await esbuild.build({
        absWorkingDir: work,
        entryPoints: ["ui/app.tsx", "ui/app.css"],
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
    for (const name of ["index.html", "icon.svg"]) cpSync(join(source, "ui", name), join(out, name));
}

mkdirSync(work, { recursive: true });
for (const name of ["package.json", "package-lock.json", "tsconfig.json"])
    cpSync(join(source, name), join(work, name));
if (!existsSync(join(work, "ui"))) symlinkSync(join(source, "ui"), join(work, "ui"));
installPackages();
checkTypes();
await bundle().catch(() => process.exit(1));
