import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;

/**
 * What the programs for Java have in common: how they are told where the server is, and how lines
 * become commands and replies become lines (see clients_test.go).
 */
final class Lines {
	static final String HOST = System.getenv("ADDRESS").split(":")[0];
	static final int PORT = Integer.parseInt(System.getenv("ADDRESS").split(":")[1]);
	static final String PASSWORD = value("PASSWORD");
	static final String CA = value("CA");
	static final String PROTOCOL = value("PROTOCOL");
	static final String MODE = value("MODE");

	/** A client: it sends commands together, and gives a reply or an exception for each. */
	interface Client {
		List<Object> ask(List<List<String>> commands) throws Exception;
	}

	private static String value(String name) {
		String value = System.getenv(name);
		return value == null || value.isEmpty() ? null : value;
	}

	/** Prints the version of a client, then answers lines until there are no more. */
	static void carry(String version, Callable<Client> connect) throws Exception {
		System.out.println(version);
		BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
		Client client = null;
		for (String line; (line = in.readLine()) != null;) {
			List<List<String>> commands = new ArrayList<>();
			for (String command : line.split(" ; ")) {
				commands.add(Arrays.asList(command.split(" ")));
			}
			List<Object> replies;
			try {
				if (client == null) {
					client = connect.call();
				}
				replies = client.ask(commands);
			} catch (Exception e) {
				replies = List.of(e);
			}
			System.out.println(replies.stream().map(Lines::show).collect(Collectors.joining(" ; ")));
		}
	}

	private static String show(Object reply) {
		if (reply instanceof byte[]) {
			return new String((byte[]) reply, StandardCharsets.UTF_8).replace("\n", " ");
		}
		if (reply instanceof List) {
			return ((List<?>) reply).stream().map(Lines::show).collect(Collectors.joining(" "));
		}
		if (reply instanceof Throwable) {
			String text = reply.toString(); // the causes tell what a connection died of
			for (Throwable cause = ((Throwable) reply).getCause(); cause != null; cause = cause.getCause()) {
				text += " by " + cause;
			}
			return "error " + text.replace("\n", " ");
		}
		return String.valueOf(reply).replace("\n", " ");
	}
}
