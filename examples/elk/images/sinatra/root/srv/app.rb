# Answers every request with its own place, and writes one line of JSON about it to $LOG.
require "sinatra/base"
require "json"
require "logger"
require "time"

class App < Sinatra::Base
  # Two files of 10 MB at most.
  LOG = Logger.new(ENV.fetch("LOG", "/srv/log/sinatra.log"), 2, 10 << 20)
  LOG.formatter = proc { |_, _, _, line| "#{line}\n" }
  PLACE = { host: ENV.fetch("HOST_IP", "?"), port: Integer(ENV.fetch("PORT", "5000")) }.freeze

  set :host_authorization, { permitted_hosts: [] }

  before { @began = Process.clock_gettime(Process::CLOCK_MONOTONIC) }

  get("/") { "Hello from #{PLACE[:host]}:#{PLACE[:port]}\n" }

  # What the test script asks for: which run it is, and the how manieth request.
  get("/traffic/:run/:number") do
    @about = { run: params["run"], number: Integer(params["number"]) }
    "#{PLACE[:host]}:#{PLACE[:port]}\n"
  end

  after do
    took = Process.clock_gettime(Process::CLOCK_MONOTONIC) - @began
    line = { "@timestamp": Time.now.utc.iso8601(3), **PLACE, method: request.request_method, path: request.path,
             status: response.status, ms: (took * 1000).round(1), **(@about || {}) }
    LOG.info(JSON.generate(line))
  end
end
