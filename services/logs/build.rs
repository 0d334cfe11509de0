//! Turns `api.json` and `members.json` into Rust (see `gust_codegen`).

fn main() {
    gust_codegen::build();
}
