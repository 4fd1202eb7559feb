//! The clients that a setting names: one, or several of which each agent starts one in turn.

/// Between the clients of one trial: `chromium+firefox`.
pub const AND: char = '+';

/// What the name of a program begins with that is a client; the rest is its path, relative to the working directory.
pub const PROGRAM: &str = "exec:";

/// The clients that a name stands for: one, or of `chromium+firefox` two. A program's path is one.
pub fn parts(name: &str) -> impl Iterator<Item = &str> {
    let parted = !name.starts_with(PROGRAM);
    name.split(move |c| parted && c == AND)
}
