# ruby-jwt with the loader of its README: the key set is kept for ever, and fetched again at a kid that is not in it, but not
# more often than a grace time allows.
require 'json'
require 'jwt'
require 'net/http'
require 'webrick'

AUDIENCE, ISSUER = ENV.values_at('AUDIENCE', 'ISSUER')
JWKS_URL = URI(ENV.fetch('JWKS_URL'))

# The README's grace time is 300 s. In earnest a key is published 25 h ahead at the least; here it is less than 300 s even on
# the timeline that is not compressed, so this is half of what it is.
GRACE_S = Float(ENV.fetch('PUBLISH_AHEAD_S')) / 2

class CachedKeys
  def call(options)
    now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    @keys = nil if options[:kid_not_found] && now - @fetched_at > GRACE_S
    @keys ||= begin
      @fetched_at = now
      JSON.parse(Net::HTTP.get(JWKS_URL))
    end
  end
end

KEYS = CachedKeys.new
PINS = { algorithms: ['ES256'], aud: AUDIENCE, verify_aud: true, iss: ISSUER, verify_iss: true }.freeze

server = WEBrick::HTTPServer.new(BindAddress: '127.0.0.1', Port: Integer(ENV.fetch('PORT')), AccessLog: [])
server.mount_proc '/webhook' do |request, response|
  JWT.decode(JSON.parse(request.body)['token'], nil, true, PINS.merge(jwks: KEYS))
  response.status = 204
rescue JWT::DecodeError, JSON::ParserError => e
  response.status = 400
  response.body = "#{e.class}: #{e.message}"
end
trap('TERM') { server.shutdown }
server.start
