# Carries lines to a server with redis-rb (see clients_test.go).

require "redis"

def connect
  tls = ENV["CA"].to_s.empty? ? {} : { ssl: true, ssl_params: { ca_file: ENV["CA"] } }
  options = { password: ENV["PASSWORD"].to_s.empty? ? nil : ENV["PASSWORD"], **tls }
  return Redis.new(cluster: ["#{tls.empty? ? 'redis' : 'rediss'}://#{ENV['ADDRESS']}"], **options) if ENV["MODE"] == "cluster"

  host, port = ENV["ADDRESS"].split(":")
  Redis.new(host: host, port: port.to_i, reconnect_attempts: 0, **options)
end

# The first error of a pipeline is raised, and hides its other replies.
def ask(client, commands)
  return [client.call(*commands[0])] if commands.size == 1

  client.pipelined { |pipeline| commands.each { |words| pipeline.call(*words) } }
end

def show(reply)
  case reply
  when Exception then "error #{reply.class}: #{reply.message}"
  when Array then reply.map { |part| show(part) }.join(" ")
  else reply.to_s.tr("\n", " ")
  end
end

$stdout.sync = true
puts Redis::VERSION
client = nil
while (line = $stdin.gets)
  replies = begin
    client ||= connect
    ask(client, line.chomp.split(" ; ").map(&:split))
  rescue Redis::BaseError => e
    [e]
  end
  puts replies.map { |reply| show(reply) }.join(" ; ")
end
