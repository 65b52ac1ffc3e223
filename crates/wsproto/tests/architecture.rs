//! The rules of the house (DESIGN.md), read off the source.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The modules of the crate. Each may import only from the lines above its own.
const LAYERS: &[&[&str]] = &[
    &["inline", "close", "input", "limits", "keepalive"],
    &["reply", "utf8"],
    &["error"],
    &["frame", "event"],
    &["extension", "assembler", "os_random"],
    &["receiver", "sender", "handshake"],
    &["connection"],
    &["ws_connection"],
    &["manual"],
];

/// What the order alone would allow, and must not be: handshake and connection meet in the negotiated extensions.
const NEVER: &[(&str, &str)] =
    &[("connection", "handshake"), ("ws_connection", "receiver"), ("ws_connection", "sender")];

#[test]
fn imports_go_one_way() {
    let level: BTreeMap<&str, usize> =
        LAYERS.iter().enumerate().flat_map(|(level, names)| names.iter().map(move |name| (*name, level))).collect();
    let mut seen = BTreeSet::new();
    for file in sources() {
        let from = file.module.as_str();
        if from == "lib" {
            continue;
        }
        let Some(own) = level.get(from) else { panic!("{}: a module without a layer", file.name) };
        seen.insert(from.to_owned());
        for (line, path) in file.code.iter().flat_map(|(number, line)| paths(line).map(move |path| (number, path))) {
            let at = format!("{}:{line}", file.name);
            let Some(other) = level.get(path) else { panic!("{at}: `crate::{path}` is no module: name its home") };
            assert!(path == from || other < own, "{at}: {from} imports {path}");
            assert!(!NEVER.contains(&(from, path)), "{at}: {from} must never import {path}");
        }
        for (line, code) in &file.code {
            // Above a file of the crate's root there is only the root.
            let up = if code.starts_with("use super::") { code.matches("super::").count() } else { 0 };
            assert!(up <= file.depth, "{}:{line}: imports from the crate's root: {code}", file.name);
        }
    }
    let unknown: Vec<&&str> = level.keys().filter(|name| !seen.contains(**name)).collect();
    assert!(unknown.is_empty(), "layers without a module: {unknown:?}");
}

/// The first names of the paths in this line that begin with `crate::`.
fn paths(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("crate::").filter(|(at, _)| !line[..*at].ends_with('$')).map(|(at, _)| {
        let path = &line[at + "crate::".len()..];
        &path[..path.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(path.len())]
    })
}

#[test]
fn the_core_has_no_io_no_clock_no_dice_and_nothing_unsafe() {
    let forbidden = [
        "std::io",
        "std::net",
        "std::fs",
        "std::time",
        "std::env",
        "Instant",
        "SystemTime",
        "tokio",
        "async",
        "rand",
        "log",
        "tracing",
        "println",
        "eprintln",
        "unsafe",
        "unsafe_code",
    ];
    let forbids = |file: &File| file.code.iter().any(|(_, code)| code == "#![forbid(unsafe_code)]");
    assert!(sources().iter().any(|file| file.name == "lib.rs" && forbids(file)));
    for file in sources() {
        for (line, code) in &file.code {
            if file.name == "lib.rs" && code == "#![forbid(unsafe_code)]" {
                continue;
            }
            for word in forbidden {
                assert!(!has_word(code, word), "{}:{line}: `{word}` in the core: {code}", file.name);
            }
        }
    }
}

fn has_word(code: &str, word: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    code.match_indices(word)
        .any(|(at, _)| !part(code[..at].chars().next_back()) && !part(code[at + word.len()..].chars().next()))
}

#[test]
fn no_file_is_too_long() {
    for file in sources() {
        let lines = file.code.len();
        assert!(lines <= 400, "{} has {lines} lines of code: it wants to be cut", file.name);
    }
}

#[test]
fn no_let_chains_because_the_oldest_compiler_has_none() {
    for file in sources() {
        for (line, code) in &file.code {
            let chained = code.contains("&& let ") || (code.contains("if let ") && code.contains(" && "));
            assert!(!chained, "{}:{line}: {code}", file.name);
        }
    }
}

#[test]
fn this_test_sees_what_it_must() {
    assert_eq!(paths("use crate::close::CloseCode;").collect::<Vec<_>>(), ["close"]);
    assert_eq!(paths("f(crate::Connection, crate::{a})").collect::<Vec<_>>(), ["Connection", ""]);
    assert!(has_word("use std::io;", "std::io") && !has_word("getrandom::fill()", "rand"));
    let code = code("a();\n\n// b\n/// c\n    d(\"ws://\"); // \"e\n#[cfg(test)]\nmod tests {\n    f();\n}\n");
    assert_eq!(code, [(1, "a();".to_owned()), (5, "    d(\"ws://\");".to_owned())]);
    assert!(sources().iter().any(|file| file.name == "frame/header.rs" && file.module == "frame" && file.depth == 1));
}

struct File {
    /// From `src` on.
    name: String,
    /// The module of the crate's root that it belongs to.
    module: String,
    /// How many modules stand above it, besides the crate's root.
    depth: usize,
    code: Vec<(usize, String)>,
}

fn sources() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = vec![];
    collect(&root, &mut paths);
    let files = paths.iter().map(|path| {
        let inside = path.strip_prefix(&root).unwrap().with_extension("");
        let mut modules: Vec<&str> = inside.iter().map(|part| part.to_str().unwrap()).collect();
        if modules.last() == Some(&"mod") {
            modules.pop();
        }
        File {
            name: path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(),
            module: modules[0].to_owned(),
            depth: modules.len() - 1,
            code: code(&fs::read_to_string(path).unwrap()),
        }
    });
    files.collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.extension() {
            _ if path.is_dir() => collect(&path, paths),
            Some(extension) if extension == "rs" && !path.ends_with("tests.rs") => paths.push(path),
            _ => {}
        }
    }
}

/// The lines of code with their numbers: without comments, blank lines, and the tests at the end of a file.
fn code(text: &str) -> Vec<(usize, String)> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    // A comment, not the middle of a URL.
    let comment = |line: &str| line.match_indices("//").map(|(at, _)| at).find(|&at| !line[..at].ends_with(':'));
    let lines = text.lines().map(|line| line[..comment(line).unwrap_or(line.len())].trim_end().to_owned());
    lines.enumerate().map(|(i, line)| (i + 1, line)).filter(|(_, line)| !line.is_empty()).collect()
}
