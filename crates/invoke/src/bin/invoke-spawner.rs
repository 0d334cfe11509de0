//! The spawner alone, for this crate's tests; gust's own binary is its spawner otherwise.

fn main() {
    gust_sandbox::run_if_spawner();
    eprintln!("started by gust's tests only");
    std::process::exit(2);
}
