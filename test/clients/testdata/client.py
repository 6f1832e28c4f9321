"""Asks rlserver with redis-py and its default options. Arguments: port, password.

Prints "all as expected" and exits with 0, or raises what was not.
"""

import sys

import redis

HOUR_MS = 3_600_000


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def main(port, password):
    client = redis.Redis(port=port, password=password or None)

    def check(key, algorithm, limit, *options):
        reply = client.execute_command("RL.CHECK", key, algorithm, limit, "1h", *options)
        expect(len(reply) == 6 and all(type(n) is int for n in reply), f"no six integers: {reply}")
        return reply

    # Asked until denied.
    for left in (2, 1, 0):
        allowed, limit, remaining, retry, reset, delay = check("k", "token_bucket", 3)
        expect((allowed, limit, remaining, retry, delay) == (1, 3, left, 0, 0), f"with {left} left")
        expect(0 < reset <= HOUR_MS, f"reset_after_ms {reset}")
    allowed, limit, remaining, retry, reset, delay = check("k", "token_bucket", 3)
    expect((allowed, limit, remaining, delay) == (0, 3, 0, 0), "with nothing left")
    expect(0 < retry <= HOUR_MS / 3 and retry < reset <= HOUR_MS, f"retry_after_ms {retry}, reset_after_ms {reset}")
    expect(check("k", "token_bucket", 3, "COST", 4)[3] == -1, "what can never pass")
    check("shaped", "leaky_bucket", 3, "COST", 2)
    expect(0 < check("shaped", "leaky_bucket", 3)[5] <= 2 * HOUR_MS / 3, "leaky_bucket's delay_ms")

    # An error is an error, and the connection goes on.
    try:
        check("k", "leaky_bucket", 3)
        raise AssertionError("another algorithm on the key is no error")
    except redis.ResponseError as error:
        expect(str(error).startswith("WRONGTYPE "), f"not WRONGTYPE: {error}")
    expect(client.ping() is True, "PING")

    # 1000 checks at once, and an error in the middle.
    pipe = client.pipeline(transaction=False)
    for _ in range(1000):
        pipe.execute_command("RL.CHECK", "pipe", "sliding_window_log", 600, "1h")
    pipe.execute_command("RL.CHECK", "pipe", "token_bucket", 600, "1h")
    pipe.execute_command("RL.PEEK", "pipe", "sliding_window_log", 600, "1h")
    replies = pipe.execute(raise_on_error=False)
    expect(len(replies) == 1002, f"{len(replies)} replies")
    expect([r[0] for r in replies[:1000]] == [1] * 600 + [0] * 400, "the pipeline's decisions")
    expect(isinstance(replies[1000], redis.ResponseError), f"no error in the pipeline: {replies[1000]}")
    expect(replies[1001][0] == 0 and replies[1001][2] == 0, f"behind the error: {replies[1001]}")

    # The same as a transaction, which redis-py makes of a pipeline unless told.
    pipe = client.pipeline()
    for _ in range(5):
        pipe.execute_command("RL.CHECK", "multi", "token_bucket", 3, "1h")
    expect([r[0] for r in pipe.execute()] == [1, 1, 1, 0, 0], "the transaction's decisions")
    client.execute_command("RL.RESET", "multi")

    # What redis-py parses itself.
    expect(client.info()["redis_mode"] == "standalone", "info")
    expect(client.info("commandstats")["cmdstat_rl.check"]["calls"] >= 1000, "info commandstats")
    expect(client.config_get("maxclients") == {"maxclients": "10000"}, "config_get")
    expect(sorted(client.scan_iter(count=1)) == [b"k", b"pipe", b"shaped"], "scan_iter")
    expect(client.type("pipe") == b"sliding_window_log", "type")
    expect(0 < client.pttl("pipe") <= HOUR_MS, "pttl")
    me = client.client_info()
    expect(str(me["lib-name"]).startswith("redis-py") and me["lib-ver"], f"client_info: {me}")
    expect(client.client_list()[0]["addr"] == me["addr"], "client_list")
    expect("rl.check" in client.command(), "command")
    expect(client.execute_command("RL.RESET", "k", "pipe", "missing") == 2, "RL.RESET")

    # Channels.
    listener = client.pubsub()
    listener.subscribe("a")
    listener.psubscribe("b*")

    def hear(kind, channel, data):
        message = listener.get_message(timeout=5)
        expect(message and (message["type"], message["channel"], message["data"]) == (kind, channel, data), f"{kind}: {message}")

    hear("subscribe", b"a", 1)
    hear("psubscribe", b"b*", 2)
    expect(client.publish("a", "x") == 1 and client.publish("bc", "y") == 1 and client.publish("c", "z") == 0, "publish")
    hear("message", b"a", b"x")
    hear("pmessage", b"bc", b"y")
    expect(client.pubsub_channels() == [b"a"] and client.pubsub_numpat() == 1, "pubsub")
    expect(client.pubsub_numsub("a", "c") == [(b"a", 1), (b"c", 0)], "pubsub numsub")
    expect(len(client.client_list(_type="pubsub")) == 1, "client_list of the type pubsub")
    listener.ping()
    expect(listener.get_message(timeout=5)["type"] == "pong", "ping while subscribed")
    listener.unsubscribe()
    hear("unsubscribe", b"a", 1)
    listener.close()
    client.close()


main(int(sys.argv[1]), sys.argv[2])
print("all as expected")
