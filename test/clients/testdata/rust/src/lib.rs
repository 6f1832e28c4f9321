//! What the programs for Rust have in common: how they are told where the server is, and how
//! lines become commands and replies become lines (see clients_test.go).

use std::env;
use std::io::{stdin, BufRead};

/// An environment variable, unless it is missing or empty.
pub fn value(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

pub fn host_and_port() -> (String, u16) {
    let address = value("ADDRESS").unwrap();
    let (host, port) = address.split_once(':').unwrap();
    (host.to_string(), port.parse().unwrap())
}

/// The certificate of the authority to trust, in PEM; without one there is no TLS.
pub fn ca() -> Option<Vec<u8>> {
    value("CA").map(|file| std::fs::read(file).unwrap())
}

pub fn cluster() -> bool {
    value("MODE").as_deref() == Some("cluster")
}

/// Prints the version of a crate, which the lock file tells, then answers lines until there are
/// no more. `ask` sends commands together, as lists of words, and returns their replies as lines
/// show them, as `connect` does with an error.
pub fn carry<C>(
    name: &str,
    connect: impl Fn() -> Result<C, String>,
    mut ask: impl FnMut(&mut C, Vec<Vec<String>>) -> Vec<String>,
) {
    let lock = include_str!("../Cargo.lock");
    let (_, after) = lock.split_once(&format!("name = \"{name}\"\nversion = \"")).unwrap();
    println!("{}", after.split('"').next().unwrap());
    let mut connection = None;
    for line in stdin().lock().lines() {
        let line = line.unwrap();
        let commands = line.split(" ; ").map(|command| command.split(' ').map(String::from).collect());
        if connection.is_none() {
            match connect() {
                Ok(made) => connection = Some(made),
                Err(error) => println!("{error}"),
            }
        }
        if let Some(connection) = connection.as_mut() {
            println!("{}", ask(connection, commands.collect()).join(" ; "));
        }
    }
}

pub fn show_text(text: &str) -> String {
    text.replace('\n', " ")
}
