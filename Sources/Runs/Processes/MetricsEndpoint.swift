import Configuration
import CoreMetrics
import Exposition
import Logging
import PageServer
import RunFiles

/// Where a process of a run serves its own numbers to Prometheus, where that is configured.
///
/// Several processes of a machine have one configuration: each takes the first free port from the configured one on.
/// A port that cannot be had is a warning, and no reason for a run to end.
final class MetricsEndpoint: Sendable {
    /// Takes the numbers.
    let factory: any MetricsFactory
    private let server: PageServer

    /// Ports that are tried.
    private static let ports = 64
    /// Most connections at once: a Prometheus or two and a person need no more, and a learner has other things to do.
    private static let connections = 8
    /// How long numbers are shown again before they are written anew.
    private static let pace: Duration = .milliseconds(500)

    private init(_ registry: MetricsRegistry, _ server: PageServer) {
        factory = registry
        self.server = server
    }

    /// Begins to serve; nil where no port is configured, or none can be had.
    /// - Parameter member: name and role of a worker or a scorer; nil: the learner.
    static func open(
        _ configuration: RunConfiguration, member: (name: String, role: String)? = nil, logger: Logger
    ) -> MetricsEndpoint? {
        let telemetry = configuration.telemetry, first = telemetry.prometheusPort
        guard first > 0 else { return nil }
        // As a watcher of the run's folder calls it.
        let path = RunFolder(configuration.runFolder).path
        var labels = [("run", path.split(separator: "/").last.map(String.init) ?? path)]
        if let member { labels += [("member", member.name), ("role", member.role)] }
        let registry = MetricsRegistry(labels: labels)
        let others = (first..<min(first + ports, 1 << 16)).dropFirst().map { UInt16($0) }
        let host = telemetry.prometheusHost
        let text = KeptText<Int64>(), begin = ContinuousClock.now
        do {
            let server = try PageServer(
                host: host, port: UInt16(first), or: others,
                access: PageServer.isLoopback(host) ? .thisMachine : .everybody, connections: connections
            ) { request in
                guard request.path == "/metrics" else { return .notFound }
                let numbers = text.text(for: Int64((ContinuousClock.now - begin) / pace)) { registry.text }
                return Response(200, "text/plain; version=0.0.4; charset=utf-8", numbers)
            }
            server.start()
            logger.notice("numbers for Prometheus at \(host), port \(server.port)")
            return MetricsEndpoint(registry, server)
        } catch {
            logger.warning(
                "no numbers for Prometheus: \(error); telemetry.prometheus_port and prometheus_host say where they are")
            return nil
        }
    }

    func close() { server.stop() }
}
