import io.lettuce.core.ClientOptions;
import io.lettuce.core.RedisClient;
import io.lettuce.core.RedisFuture;
import io.lettuce.core.RedisURI;
import io.lettuce.core.SslOptions;
import io.lettuce.core.cluster.ClusterClientOptions;
import io.lettuce.core.cluster.RedisClusterClient;
import io.lettuce.core.cluster.api.async.RedisClusterAsyncCommands;
import io.lettuce.core.codec.StringCodec;
import io.lettuce.core.output.NestedMultiOutput;
import io.lettuce.core.protocol.CommandArgs;
import io.lettuce.core.protocol.ProtocolKeyword;
import io.lettuce.core.protocol.ProtocolVersion;
import java.io.File;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;

/** Carries lines to a server with Lettuce (see clients_test.go). */
final class LettuceLines {
	public static void main(String[] args) throws Exception {
		RedisURI.Builder uri = RedisURI.builder().withHost(Lines.HOST).withPort(Lines.PORT).withSsl(Lines.CA != null);
		if (Lines.PASSWORD != null) {
			uri.withPassword(Lines.PASSWORD.toCharArray());
		}
		String version = RedisClient.class.getPackage().getImplementationVersion().split("/")[0];
		if ("cluster".equals(Lines.MODE)) {
			RedisClusterClient client = RedisClusterClient.create(uri.build());
			client.setOptions(options(ClusterClientOptions.builder()).build());
			Lines.carry(version, () -> {
				RedisClusterAsyncCommands<String, String> connection = client.connect().async();
				return commands -> ask(connection, commands);
			});
			client.shutdown(Duration.ZERO, Duration.ZERO);
		} else {
			RedisClient client = RedisClient.create(uri.build());
			client.setOptions(options(ClientOptions.builder()).build());
			Lines.carry(version, () -> {
				RedisClusterAsyncCommands<String, String> connection = client.connect().async();
				return commands -> ask(connection, commands);
			});
			client.shutdown(Duration.ZERO, Duration.ZERO);
		}
	}

	private static <B extends ClientOptions.Builder> B options(B options) {
		if (Lines.PROTOCOL != null) {
			options.protocolVersion(Lines.PROTOCOL.equals("2") ? ProtocolVersion.RESP2 : ProtocolVersion.RESP3);
		}
		if (Lines.CA != null) {
			options.sslOptions(SslOptions.builder().trustManager(new File(Lines.CA)).build());
		}
		return options;
	}

	/** Commands that are sent without waiting go out together. */
	private static List<Object> ask(RedisClusterAsyncCommands<String, String> client, List<List<String>> commands)
			throws InterruptedException {
		List<RedisFuture<List<Object>>> futures = new ArrayList<>();
		for (List<String> words : commands) {
			CommandArgs<String, String> args = new CommandArgs<>(StringCodec.UTF8);
			for (int i = 1; i < words.size(); i++) {
				if (i == 1 && words.size() > 2) {
					args.addKey(words.get(i));
				} else {
					args.add(words.get(i));
				}
			}
			futures.add(client.dispatch(keyword(words.get(0)), new NestedMultiOutput<>(StringCodec.UTF8), args));
		}
		List<Object> replies = new ArrayList<>();
		for (RedisFuture<List<Object>> future : futures) {
			try {
				replies.add(future.get());
			} catch (ExecutionException e) {
				replies.add(e.getCause());
			}
		}
		return replies;
	}

	private static ProtocolKeyword keyword(String name) {
		byte[] bytes = name.getBytes(StandardCharsets.UTF_8);
		return new ProtocolKeyword() {
			@Override
			public byte[] getBytes() {
				return bytes;
			}

			@Override
			public String toString() {
				return name;
			}
		};
	}
}
