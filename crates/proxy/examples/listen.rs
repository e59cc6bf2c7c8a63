//! A proxy to be tried by hand: `cargo run -p proxy --example listen -- a.example '*.b.example:80'`.
//!
//! A host may have its addresses behind it, which pins it: `git.corp.example=10.0.0.7`.

use std::{io::Read as _, net::TcpListener};

use proxy::{Limits, Policy, Proxy, Rules};

#[expect(clippy::print_stdout, reason = "whoever tries it wants to see what is let through")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut policy = Policy::default();
    let mut hosts = vec![];
    for word in std::env::args().skip(1) {
        let (pattern, addresses) = word.split_once('=').unwrap_or((&word, ""));
        hosts.push(pattern.parse()?);
        if !addresses.is_empty() {
            let host = pattern.split(':').next().unwrap_or_default().parse()?;
            let addresses = addresses.split(',').map(str::parse).collect::<Result<_, _>>()?;
            policy.pins.insert(host, addresses);
        }
    }
    policy.hosts = hosts.into_iter().collect();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("http://{}", listener.local_addr()?);
    let tell = |event: proxy::Event| {
        let to = event.to.map_or("?".to_owned(), |(host, port)| format!("{host}:{port}"));
        println!("{to} {:?} {}", event.said, event.count);
    };
    let proxy = Proxy::start(listener, Rules::new(policy), Limits::default(), tell)?;
    // It is there for as long as somebody holds its input open.
    std::io::stdin().read_to_end(&mut vec![])?;
    println!("{:?}", proxy.traffic());
    Ok(())
}
