#!/usr/bin/python3
"""What the documents name exists: files, headings, commands, options, settings, routes, metrics.

    documents.py BIN SOURCE

Asks the programs in BIN what they know. The other way round, that all settings and error
codes are described, test_documents.c holds.
"""

import pathlib
import re
import subprocess
import sys

BIN, SOURCE = (pathlib.Path(path).resolve() for path in sys.argv[1:3])
PAGES = [SOURCE / "README.md", *sorted(SOURCE.glob("docs/**/*.md")),
         *sorted(page for page in SOURCE.glob("*/**/README.md")
                 if page.relative_to(SOURCE).parts[0] != "build")]
CODE = ("broker", "cli", "lib", "proto", "sdk", "services", "examples", "bench", "tests", "dev", "compose.yaml",
        "Dockerfile")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
missing = []


def miss(page, text):
    missing.append(f"{page.relative_to(SOURCE)}: {text}")


def without_code(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)


def snippets(text):
    """Each line of a code block and each code span, as (text, is it a line)."""
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.S | re.M):
        for line in block.replace("\\\n", " ").splitlines():
            yield line.split("  #")[0], True
    for span in re.findall(r"`([^`]+)`", without_code(text)):
        yield " ".join(span.split()), False


# ---- links and files

def anchor(heading):
    return re.sub(r"[^\w\- ]", "", heading.strip().lower().replace("`", "")).replace(" ", "-")


def check_links(page, text):
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(text)):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, part = target.partition("#")
        file = (page.parent / path) if path else page
        if not file.exists():
            miss(page, f"there is no file {target}")
        elif part and part not in map(anchor, re.findall(r"^#+ (.*)", file.read_text(), re.M)):
            miss(page, f"there is no heading {target}")


def check_files(page, text):
    """Code spans that look like files of this repository."""
    tops = {path.name for path in SOURCE.iterdir() if path.is_dir()} - {"build"}
    for span, _ in snippets(text):
        for path in re.findall(r"(?<![\w./-])[\w.-]+/[\w./-]*\w", span):
            made = path.endswith((".key", ".url"))  # by who installs
            if path.split("/")[0] in tops and not made and not list(SOURCE.glob(path + "*")):
                miss(page, f"there is no file {path}")


# ---- commands

def usage_of(program, *arguments):
    """What the program says of its use; one that has no --help says it when it refuses that."""
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=20, check=False)
    return done.stdout or done.stderr


class Commands:
    def __init__(self):
        listed = re.findall(r"^  ([a-z]+(?: [a-z]+)?)(?= |$)", usage_of(BIN / "omni", "help"), re.M)
        self.known = set(listed)
        self.groups = {name.split()[0] for name in listed if " " in name}
        self.options = {}

    def find(self, words):
        two = " ".join(words[:2])
        if two in self.known:
            return two
        group = words[0] in self.groups and len(words) > 1 and re.fullmatch("[a-z]+", words[1])
        return words[0] if words[0] in self.known and not group else None

    def options_of(self, name):
        if name not in self.options:
            self.options[name] = set(OPTION.findall(usage_of(BIN / "omni", *name.split(), "--help")))
        return self.options[name]


def check_commands(page, text, commands, dev):
    for line, _ in snippets(text):
        for call in re.findall(r"(?:^|[;|&(\s])(?:\S*/|\$)?omni ([a-z][^|;#)]*)", line):
            name = commands.find(call.split())
            if not name:
                miss(page, f"there is no command omni {call}")
                continue
            for option in OPTION.findall(call):
                if option not in commands.options_of(name):
                    miss(page, f"omni {name} has no option {option}")
        for program, call in re.findall(r"\b(omni-[a-z]+)\b([^|;#)]*)", line):
            if (BIN / program).exists():
                told = usage_of(BIN / program, "--help") if OPTION.search(call) else ""
                for option in OPTION.findall(call):
                    setting = "OMNI_" + option[2:].upper().replace("-", "_")
                    if option not in OPTION.findall(told) and setting not in told:
                        miss(page, f"{program} has no option {option}")
        for name in re.findall(r"\./dev ([a-z][a-z-]*)", line):
            if name not in dev:
                miss(page, f"there is no command ./dev {name}")


# ---- names

def check_names(page, text, code, metrics):
    for name in set(re.findall(r"\bOMNI_[A-Z0-9_]*[A-Z0-9]\b(?!\*)", text)):
        if not re.search(rf"\b{name}\b", code):
            miss(page, f"nothing in the code is named {name}")
    for name in set(re.findall(r"\bomni_[a-z0-9_]+\b", text)) - metrics:
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        if base not in metrics and not re.search(rf"\b{name}\b", code):
            miss(page, f"nothing is named {name}")


def check_routes(page, text, routes):
    """As a pattern, or with something in the place of a parameter."""
    for span, _ in snippets(text):
        for method, path in re.findall(r"\b(GET|POST|PUT|PATCH|DELETE) (/[\w/{}.-]+)", span):
            if not any(method == known and shape.fullmatch(path) for known, shape in routes):
                miss(page, f"there is no route {method} {path}")


def main():
    commands = Commands()
    dev = set(re.findall(r"^([a-z-]+) ", re.search(r"^commands='(.*?)'$", (SOURCE / "dev").read_text(),
                                                    re.S | re.M).group(1), re.M))
    code = "\n".join(path.read_text(errors="ignore") for top in CODE for path in
                     ([SOURCE / top] if (SOURCE / top).is_file() else (SOURCE / top).rglob("*"))
                     if path.is_file() and path.suffix != ".md" and path.resolve() != pathlib.Path(__file__).resolve())
    metrics = set(re.findall(r"^\| `(\w+)`", (SOURCE / "docs/metrics.md").read_text(), re.M))
    routes = [(method, re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(pattern)))) for method, pattern in
              re.findall(r'\bR\w*\((GET|POST|PUT|PATCH|DELETE), "([^"]+)"',
                         (SOURCE / "services/ingest/routes.c").read_text())]
    for page in PAGES:
        text = page.read_text()
        check_links(page, text)
        check_files(page, text)
        check_commands(page, text, commands, dev)
        check_names(page, text, code, metrics)
        check_routes(page, text, routes)
    print("\n".join(missing))
    print(f"{len(PAGES)} documents, {len(commands.known)} commands, {len(routes)} routes: {len(missing)} names of nothing")
    sys.exit(bool(missing))


main()
