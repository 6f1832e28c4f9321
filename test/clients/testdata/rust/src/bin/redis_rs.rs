//! Carries lines to a server with redis-rs (see clients_test.go).

use lines::{ca, carry, cluster, host_and_port, show_text, value};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{Client, IntoConnectionInfo, ProtocolVersion, RedisError, RedisResult, TlsCertificates, Value};

fn url() -> String {
    let (host, port) = host_and_port();
    format!("{}://{host}:{port}", if ca().is_some() { "rediss" } else { "redis" })
}

fn protocol() -> Option<ProtocolVersion> {
    value("PROTOCOL").map(|version| if version == "2" { ProtocolVersion::RESP2 } else { ProtocolVersion::RESP3 })
}

fn certificates() -> TlsCertificates {
    TlsCertificates { client_tls: None, root_cert: ca() }
}

async fn connect_to_one() -> RedisResult<MultiplexedConnection> {
    let info = url().into_connection_info()?;
    let mut settings = info.redis_settings().clone();
    if let Some(password) = value("PASSWORD") {
        settings = settings.set_password(password);
    }
    if let Some(protocol) = protocol() {
        settings = settings.set_protocol(protocol);
    }
    let info = info.set_redis_settings(settings);
    let client = if ca().is_some() { Client::build_with_tls(info, certificates())? } else { Client::open(info)? };
    client.get_multiplexed_async_connection().await
}

async fn connect_to_cluster() -> RedisResult<ClusterConnection> {
    let mut builder = ClusterClient::builder(vec![url()]);
    if let Some(password) = value("PASSWORD") {
        builder = builder.password(password);
    }
    if ca().is_some() {
        builder = builder.certs(certificates());
    }
    builder.build()?.get_async_connection().await
}

async fn ask<C: ConnectionLike>(connection: &mut C, commands: &[Vec<String>]) -> Vec<String> {
    if let [words] = commands {
        return vec![command(words).query_async(connection).await.map_or_else(show_error, show)];
    }
    let mut pipeline = redis::pipe();
    for words in commands {
        pipeline.add_command(command(words));
    }
    let replies: RedisResult<Vec<RedisResult<Value>>> = pipeline.ignore_errors().query_async(connection).await;
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if cluster() {
        carry(
            "redis",
            || runtime.block_on(connect_to_cluster()).map_err(show_error),
            |connection, commands| runtime.block_on(ask(connection, &commands)),
        );
    } else {
        carry(
            "redis",
            || runtime.block_on(connect_to_one()).map_err(show_error),
            |connection, commands| runtime.block_on(ask(connection, &commands)),
        );
    }
}
