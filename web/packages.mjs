// packages.mjs - installs npm packages into a work folder, leaving the source tree clean.
//
// The network is needed only when package-lock.json changes; a copy of it beside node_modules tells
// for which one they were installed. Scripts of packages do not run: none of ours needs one.
//
//   node packages.mjs SOURCE_DIR WORK_DIR [STAMP_FILE]
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

function sameText(a, b) {
    return existsSync(a) && existsSync(b) && readFileSync(a, "utf8") === readFileSync(b, "utf8");
}

/** Nothing when all went well, else lines that tell what did not and what to do. */
export function installPackages(source, work) {
    const installed = join(work, "installed-lock.json");
    const lock = join(source, "package-lock.json");
    if (sameText(installed, lock) && existsSync(join(work, "node_modules"))) return null;
    mkdirSync(work, { recursive: true });
    rmSync(installed, { force: true });
    for (const name of ["package.json", "package-lock.json"])
        cpSync(join(source, name), join(work, name));
    const npm = spawnSync(
        "npm",
        ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        { cwd: work, encoding: "utf8" },
    );
    if (npm.status === 0) {
        cpSync(lock, installed);
        return null;
    }
    const said = `${npm.stderr ?? ""}${npm.error ?? ""}`.trim().split("\n");
    return [
        `npm could not install the packages of ${source}:`,
        ...said.slice(0, 12),
        "Check the network and npm's registry setting; once it worked, no network is needed again.",
        "Or build without the dashboard: meson configure BUILDDIR -Dweb=disabled",
    ];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
    const [source, work, stamp] = process.argv.slice(2);
    const trouble = installPackages(source, work);
    if (trouble) {
        console.error(trouble.join("\n  "));
        process.exit(1);
    }
    if (stamp) writeFileSync(stamp, "");
}
