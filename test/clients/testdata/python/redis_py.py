"""Carries lines to a server with redis-py (see clients_test.go)."""

import os
import sys

import redis
from redis.backoff import NoBackoff
from redis.cache import CacheConfig
from redis.retry import Retry

MODE = os.environ.get("MODE")


class CacheOfPeeks(CacheConfig):
    """Lets the cache keep what RL.PEEK answers, while wanted, which it would not by itself."""

    wanted = False

    def is_allowed_to_cache(self, command):
        return self.wanted


def connect():
    host, port = os.environ["ADDRESS"].split(":")
    options = {"host": host, "port": int(port), "password": os.environ.get("PASSWORD") or None, "socket_timeout": 60}
    if os.environ.get("PROTOCOL"):
        options["protocol"] = int(os.environ["PROTOCOL"])
    if os.environ.get("CA"):
        options.update(ssl=True, ssl_ca_certs=os.environ["CA"])
    if MODE == "cache":
        options.update(cache_config=CacheOfPeeks(), protocol=3)
    if MODE == "cluster":
        return redis.RedisCluster(**options)
    # What fails is answered at once. By itself, redis-py would try a wrong password ten times.
    return redis.Redis(retry=Retry(NoBackoff(), 0), **options)


def ask(client, commands):
    if commands[0][0] == "parses":
        return [parses(client, commands[0][1])]
    if commands[0][0] == "cached":
        CacheOfPeeks.wanted = True
        reply = client.execute_command(*commands[0][1:], keys=[commands[0][2]])
        CacheOfPeeks.wanted = False
        return [reply]
    if len(commands) == 1:
        return [client.execute_command(*commands[0])]
    pipe = client.pipeline() if MODE == "cluster" else client.pipeline(transaction=False)
    for words in commands:
        pipe.execute_command(*words)
    return pipe.execute(raise_on_error=False)


def show(reply):
    if isinstance(reply, Exception):
        return f"error {type(reply).__name__}: {reply}"
    if isinstance(reply, list):
        return " ".join(map(show, reply))
    if isinstance(reply, bytes):
        reply = reply.decode()
    return str(reply).replace("\n", " ")


def parses(client, log):
    """Looks at what redis-py makes of replies that it knows."""

    def expect(condition, what):
        if not condition:
            raise AssertionError(what)

    # A pipeline is a transaction, unless told.
    pipe = client.pipeline()
    for _ in range(5):
        pipe.execute_command("RL.CHECK", "multi", "token_bucket", 3, "1h")
    expect([r[0] for r in pipe.execute()] == [1, 1, 1, 0, 0], "the transaction's decisions")
    client.execute_command("RL.RESET", "multi")

    expect(client.info()["redis_mode"] == "standalone", "info")
    expect(client.info("commandstats")["cmdstat_rl.check"]["calls"] >= 1000, "info commandstats")
    expect(client.config_get("maxclients") == {"maxclients": "10000"}, "config_get")
    expect(log.encode() in client.scan_iter(count=1), "scan_iter")
    expect(client.type(log) == b"sliding_window_log", "type")
    expect(0 < client.pttl(log) <= 3_600_000, "pttl")
    me = client.client_info()
    expect(str(me["lib-name"]).startswith("redis-py") and me["lib-ver"], f"client_info: {me}")
    expect(me["addr"] in [other["addr"] for other in client.client_list()], "client_list")
    expect("rl.check" in client.command(), "command")

    listener = client.pubsub()
    listener.subscribe("a")
    listener.psubscribe("b*")

    def hear(*want):
        message = listener.get_message(timeout=5)
        expect(message and (message["type"], message["channel"], message["data"]) == want, f"{want}: {message}")

    hear("subscribe", b"a", 1)
    hear("psubscribe", b"b*", 2)
    expect([client.publish(channel, "x") for channel in ("a", "bc", "c")] == [1, 1, 0], "publish")
    hear("message", b"a", b"x")
    hear("pmessage", b"bc", b"x")
    expect(client.pubsub_channels() == [b"a"] and client.pubsub_numpat() == 1, "pubsub")
    expect(client.pubsub_numsub("a", "c") == [(b"a", 1), (b"c", 0)], "pubsub numsub")
    expect(len(client.client_list(_type="pubsub")) == 1, "client_list of the type pubsub")
    listener.ping()
    expect(listener.get_message(timeout=5)["type"] == "pong", "ping while subscribed")
    listener.unsubscribe()
    hear("unsubscribe", b"a", 1)
    listener.close()
    return "ok"


def main():
    print(redis.__version__, flush=True)
    client = None
    for line in sys.stdin:
        try:
            client = client or connect()
            replies = ask(client, [command.split() for command in line.split(" ; ")])
        except Exception as error:  # an answer like any other
            replies = [error]
        print(" ; ".join(map(show, replies)), flush=True)


main()
