//! Carries lines to a server with redis-rs (see clients_test.go).

use lines::{ca, carry, cluster, host_and_port, show_text, value};
use redis::cluster::ClusterClient;
use redis::{Client, ConnectionLike, ProtocolVersion, RedisError, RedisResult, TlsCertificates, Value};

fn connect() -> RedisResult<Box<dyn ConnectionLike>> {
    let (host, port) = host_and_port();
    let scheme = if ca().is_some() { "rediss" } else { "redis" };
    let certificates = TlsCertificates { client_tls: None, root_cert: ca() };
    let protocol = match value("PROTOCOL").as_deref() {
        Some("2") => Some(ProtocolVersion::RESP2),
        Some("3") => Some(ProtocolVersion::RESP3),
        _ => None,
    };
    if cluster() {
        let mut builder = ClusterClient::builder(vec![format!("{scheme}://{host}:{port}")]).retries(0);
        if let Some(password) = value("PASSWORD") {
            builder = builder.password(password);
        }
        if let Some(protocol) = protocol {
            builder = builder.use_protocol(protocol);
        }
        if ca().is_some() {
            builder = builder.certs(certificates);
        }
        return Ok(Box::new(builder.build()?.get_connection()?));
    }
    let mut info = redis::IntoConnectionInfo::into_connection_info(format!("{scheme}://{host}:{port}"))?;
    let mut settings = info.redis_settings().clone();
    if let Some(password) = value("PASSWORD") {
        settings = settings.set_password(password);
    }
    if let Some(protocol) = protocol {
        settings = settings.set_protocol(protocol);
    }
    info = info.set_redis_settings(settings);
    let client = if ca().is_some() { Client::build_with_tls(info, certificates)? } else { Client::open(info)? };
    Ok(Box::new(client.get_connection()?))
}

fn ask(connection: &mut dyn ConnectionLike, commands: &[Vec<String>]) -> Vec<String> {
    if let [words] = commands {
        let reply = connection.req_command(&command(words));
        return vec![reply.map_or_else(show_error, show)];
    }
    let mut pipeline = redis::pipe();
    for words in commands {
        pipeline.add_command(command(words));
    }
    let replies: RedisResult<Vec<RedisResult<Value>>> = pipeline.ignore_errors().query(connection);
    let each = |reply: RedisResult<Value>| reply.map_or_else(show_error, show);
    replies.map_or_else(|error| vec![show_error(error)], |replies| replies.into_iter().map(each).collect())
}

fn command(words: &[String]) -> redis::Cmd {
    let mut command = redis::cmd(&words[0]);
    command.arg(&words[1..]);
    command
}

fn show(reply: Value) -> String {
    match reply {
        Value::Int(n) => n.to_string(),
        Value::Array(parts) => parts.into_iter().map(show).collect::<Vec<_>>().join(" "),
        Value::BulkString(bytes) => show_text(&String::from_utf8_lossy(&bytes)),
        Value::VerbatimString { text, .. } | Value::SimpleString(text) => show_text(&text),
        Value::ServerError(error) => show_error(error.into()),
        other => format!("{other:?}"),
    }
}

fn show_error(error: RedisError) -> String {
    format!("error RedisError::{:?}: {} {error}", error.kind(), error.code().unwrap_or_default())
}

fn main() {
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let mut connection = None;
    carry("redis", |commands| {
        if connection.is_none() {
            match connect() {
                Ok(made) => connection = Some(made),
                Err(error) => return vec![show_error(error)],
            }
        }
        ask(connection.as_mut().unwrap().as_mut(), &commands)
    });
}
