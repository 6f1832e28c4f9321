import java.io.FileInputStream;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocketFactory;
import javax.net.ssl.TrustManagerFactory;
import redis.clients.jedis.AbstractPipeline;
import redis.clients.jedis.BuilderFactory;
import redis.clients.jedis.CommandArguments;
import redis.clients.jedis.CommandObject;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.RedisClient;
import redis.clients.jedis.RedisClusterClient;
import redis.clients.jedis.Response;
import redis.clients.jedis.UnifiedJedis;
import redis.clients.jedis.builders.StandaloneClientBuilder;
import redis.clients.jedis.commands.ProtocolCommand;
import redis.clients.jedis.csc.CacheConfig;
import redis.clients.jedis.util.SafeEncoder;

/** Carries lines to a server with Jedis (see clients_test.go). */
final class JedisLines {
	/** Lets the cache keep replies, which it would not do by itself for RL.PEEK. */
	private static boolean cached;

	/** The names that were asked for. The cache knows a command again by its object. */
	private static final Map<String, ProtocolCommand> NAMES = new HashMap<>();

	public static void main(String[] args) throws Exception {
		Properties pom = new Properties();
		pom.load(RedisClient.class.getResourceAsStream("/META-INF/maven/redis.clients/jedis/pom.properties"));
		Lines.carry(pom.getProperty("version"), () -> {
			UnifiedJedis client = connect();
			return commands -> ask(client, commands);
		});
	}

	private static UnifiedJedis connect() throws Exception {
		DefaultJedisClientConfig.Builder config = DefaultJedisClientConfig.builder()
				.password(Lines.PASSWORD).timeoutMillis(60_000);
		if (Lines.PROTOCOL != null) {
			config = Lines.PROTOCOL.equals("2") ? config.resp2() : config.resp3();
		}
		if (Lines.CA != null) {
			config.ssl(true).sslSocketFactory(trusting(Lines.CA));
		}
		HostAndPort server = new HostAndPort(Lines.HOST, Lines.PORT);
		if ("cluster".equals(Lines.MODE)) {
			return RedisClusterClient.builder().nodes(Set.of(server)).clientConfig(config.build()).build();
		}
		StandaloneClientBuilder<RedisClient> builder = RedisClient.builder().hostAndPort(server);
		if ("cache".equals(Lines.MODE)) {
			builder.cacheConfig(CacheConfig.builder().maxSize(100).cacheable((command, keys) -> cached).build());
			config.resp3();
		}
		return builder.clientConfig(config.build()).build();
	}

	private static SSLSocketFactory trusting(String file) throws Exception {
		KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
		trusted.load(null, null);
		try (FileInputStream in = new FileInputStream(file)) {
			trusted.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(in));
		}
		TrustManagerFactory managers = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
		managers.init(trusted);
		SSLContext context = SSLContext.getInstance("TLS");
		context.init(null, managers.getTrustManagers(), null);
		return context.getSocketFactory();
	}

	private static List<Object> ask(UnifiedJedis client, List<List<String>> commands) {
		List<String> first = commands.get(0);
		cached = first.get(0).equals("cached");
		if (cached) {
			first = first.subList(1, first.size());
		}
		if (commands.size() == 1) {
			return List.of(client.executeCommand(object(first)));
		}
		List<Response<Object>> responses = new ArrayList<>();
		try (AbstractPipeline pipeline = client.pipelined()) {
			for (List<String> words : commands) {
				responses.add(pipeline.executeCommand(object(words)));
			}
			pipeline.sync();
		}
		List<Object> replies = new ArrayList<>();
		for (Response<Object> response : responses) {
			try {
				replies.add(response.get());
			} catch (RuntimeException e) {
				replies.add(e);
			}
		}
		return replies;
	}

	private static CommandObject<Object> object(List<String> words) {
		CommandArguments arguments = new CommandArguments(NAMES.computeIfAbsent(words.get(0), name -> {
			byte[] bytes = SafeEncoder.encode(name);
			return () -> bytes;
		}));
		for (int i = 1; i < words.size(); i++) {
			if (i == 1 && words.size() > 2) {
				arguments.key(words.get(i));
			} else {
				arguments.add(words.get(i));
			}
		}
		return new CommandObject<>(arguments, BuilderFactory.RAW_OBJECT);
	}
}
