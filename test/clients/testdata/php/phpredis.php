<?php
// Carries lines to a server with phpredis (see clients_test.go).

[$host, $port] = explode(':', getenv('ADDRESS'));
$password = getenv('PASSWORD') ?: null;
$context = getenv('CA') ? ['cafile' => getenv('CA')] : null;
$cluster = getenv('MODE') === 'cluster';

function connect($host, $port, $password, $context, $cluster)
{
    if ($cluster) {
        return new RedisCluster(null, ["$host:$port"], 60, 60, false, $password, $context);
    }
    $client = new Redis();
    $client->connect($context ? "tls://$host" : $host, (int) $port, 60, null, 0, 60, $context ? ['stream' => $context] : []);
    if ($password !== null) {
        $client->auth($password);
    }
    return $client;
}

// An error reply is false, and its text is asked for.
function show($reply, $error)
{
    if ($reply === false) {
        return "error false: $error";
    }
    return str_replace("\n", ' ', is_array($reply) ? implode(' ', $reply) : (string) $reply);
}

function ask($client, $cluster, $commands)
{
    $raw = function ($client, $words) use ($cluster) {
        $client->clearLastError();
        // In a cluster the first argument says which node to ask: by a key.
        return $cluster ? $client->rawCommand($words[1] ?? 'any', ...$words) : $client->rawCommand(...$words);
    };
    if (count($commands) === 1 || $cluster) { // RedisCluster has no pipelines
        return array_map(fn ($words) => show($raw($client, $words), $client->getLastError()), $commands);
    }
    $client->multi(Redis::PIPELINE);
    foreach ($commands as $words) {
        $client->rawCommand(...$words);
    }
    return array_map(fn ($reply) => show($reply, $client->getLastError()), $client->exec());
}

echo phpversion('redis'), "\n";
$client = null;
while (($line = fgets(STDIN)) !== false) {
    try {
        $client ??= connect($host, $port, $password, $context, $cluster);
        $commands = array_map(fn ($command) => explode(' ', $command), explode(' ; ', rtrim($line)));
        echo implode(' ; ', ask($client, $cluster, $commands)), "\n";
    } catch (Exception $e) {
        echo 'error ', get_class($e), ': ', $e->getMessage(), "\n";
    }
}
