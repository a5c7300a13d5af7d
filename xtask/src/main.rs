//! Repository checks that need cargo metadata

fn main() {}
