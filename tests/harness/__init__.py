"""What the tests share: a real gust on a free port, packages for functions, waiting on conditions."""
