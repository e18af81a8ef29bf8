#!/usr/bin/env python3
"""Lists files of our crates that import each other, directly or through others.

    scripts/cycles.py [DIRECTORY]     exit status 1 if there are any, no output if not

A file imports another if it names an item that the other defines. A parent that only
re-exports what its children define does not import it. Tests are left out: they name what
they test, wherever it is.
"""

import re
import sys
from pathlib import Path

ITEM = re.compile(r"\b(?:fn|struct|enum|const|static|trait|type|union|macro_rules!|mod)\s+(\w+)")
USE = re.compile(r"(pub(?:\([^)]*\))?\s+)?\buse\s+([^;]+);")
QUOTED = re.compile(r"b?r(#*)\".*?\"\1|\"(?:\\.|[^\"\\])*\"|'(?:\\.[^']*|[^'\\])'|//[^\n]*|/\*.*?\*/", re.S)
TESTS = re.compile(r"#\[cfg\(test\)\]\s*mod\s+\w+\s*([;{])")


def leaves(tree, prefix=()):
    """The paths that a `use` names, each with the name it has in the file."""
    parts, depth, part = [], 0, ""
    for letter in tree:
        depth += (letter == "{") - (letter == "}")
        if letter == "," and depth == 0:
            parts, part = [*parts, part], ""
        else:
            part += letter
    for part in filter(None, (part.strip() for part in [*parts, part])):
        if "{" in part:
            head, rest = part.split("{", 1)
            segments = tuple(filter(None, (s.strip() for s in head.split("::"))))
            yield from leaves(rest.rsplit("}", 1)[0], prefix + segments)
            continue
        path, _, alias = part.partition(" as ")
        segments = prefix + tuple(filter(None, (s.strip() for s in path.split("::"))))
        if segments[-1] == "self":
            segments = segments[:-1]
        yield segments, alias.strip() or segments[-1]


def without_tests(text):
    """The text without test modules, here or in files of their own; it has no quotes."""
    while tests := TESTS.search(text):
        end, depth = tests.end(), tests[1] == "{"
        while depth:
            depth += (text[end] == "{") - (text[end] == "}")
            end += 1
        text = text[: tests.start()] + text[end:]
    return text


class File:
    def __init__(self, path):
        self.path, self.children = path, {}
        text = without_tests(QUOTED.sub('""', path.read_text()))
        self.modules = re.findall(r"\bmod\s+(\w+)\s*;", text)
        self.items = set(ITEM.findall(text)) - set(self.modules)
        self.body = USE.sub(" ", text)
        self.uses = [
            (bool(public), segments, alias)
            for public, tree in USE.findall(text)
            for segments, alias in leaves(tree)
        ]


class Crate:
    def __init__(self, root):
        self.files = {}
        self.load((), root / "lib.rs")

    def load(self, name, path):
        file = self.files[name] = File(path)
        here = path.parent if path.name in ("lib.rs", "mod.rs") else path.parent / path.stem
        for child in file.modules:
            for candidate in (here / f"{child}.rs", here / child / "mod.rs"):
                if candidate.exists():
                    file.children[child] = name + (child,)
                    self.load(name + (child,), candidate)
                    break

    def start(self, name, segments):
        """The module that a path begins in, and the rest of it; None: another crate."""
        if segments[0] == "crate":
            return (), segments[1:]
        if segments[0] == "self":
            return name, segments[1:]
        if segments[0] == "super":
            while segments and segments[0] == "super":
                name, segments = name[:-1], segments[1:]
            return name, segments
        return (name, segments) if segments[0] in self.files[name].children else None

    def owner(self, name, segments, seen=frozenset()):
        """The module whose file defines an item; None: another crate, or a module."""
        file = self.files[name]
        if not segments:
            return None
        first, rest = segments[0], segments[1:]
        if first in file.children:
            return self.owner(file.children[first], rest, seen)
        if first in file.items or (name, first) in seen:
            return name
        for _, path, alias in file.uses:
            if alias == first:
                start = self.start(name, path)
                return start and self.owner(start[0], start[1] + rest, seen | {(name, first)})
        return name

    def module(self, name, segments):
        """The module that a path names, if it names one."""
        for segment in segments:
            if segment not in self.files[name].children:
                return None
            name = self.files[name].children[segment]
        return name

    def imports(self, name):
        file, found, modules = self.files[name], set(), {}
        for public, path, alias in file.uses:
            start = self.start(name, path)
            if start is None:
                continue
            module = self.module(*start)
            if module is not None:
                modules[alias] = module
            elif not public or re.search(rf"\b{re.escape(alias)}\b", file.body):
                found.add(self.owner(*start))
        for path in re.findall(r"(?<![\w:$])((?:\w+::)+\w+)", file.body):
            segments = tuple(path.split("::"))
            if segments[0] in modules:
                found.add(self.owner(modules[segments[0]], segments[1:]))
            elif start := self.start(name, segments):
                found.add(self.owner(*start))
        return found - {name, None}

    def cycles(self):
        """The strongly connected components (Tarjan)."""
        graph = {name: self.imports(name) for name in self.files}
        index, low, stack, found = {}, {}, [], []

        def visit(name):
            index[name] = low[name] = len(index)
            stack.append(name)
            for other in graph[name]:
                if other not in index:
                    visit(other)
                if other in stack:
                    low[name] = min(low[name], low[other])
            if low[name] == index[name]:
                at = stack.index(name)
                if len(stack) - at > 1:
                    found.append(stack[at:])
                del stack[at:]

        for name in graph:
            if name not in index:
                visit(name)
        return [{name: graph[name] & set(cycle) for name in cycle} for cycle in found]


def main():
    base = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent)
    sys.setrecursionlimit(10_000)
    status = 0
    for root in [base / "src", *sorted(base.glob("crates/*/src"))]:
        crate = Crate(root)
        show = lambda name: str(crate.files[name].path.relative_to(base))
        cycles = crate.cycles()
        for cycle in cycles:
            status = 1
            print(f"{root.relative_to(base)}: these files import each other:")
            for name, others in sorted(cycle.items()):
                print(f"  {show(name)} imports {', '.join(sorted(map(show, others)))}")
    return status


sys.exit(main())
