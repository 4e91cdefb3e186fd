import CoreMetrics
import Locking

/// The numbers of a process, as swift-metrics has them told, for Prometheus to read.
///
/// A gauge that was never set is absent, as is one that is no number. Of timers, and of recorders that aggregate, sum
/// and count are kept.
package final class MetricsRegistry: MetricsFactory {
    private struct Family: Sendable {
        var kind: RunMetric.Kind
        var cells: [[String]: Cell] = [:]
    }

    private let families = Locked<[String: Family]>([:])
    private let labels: [(String, String)]

    /// - Parameter labels: of every series, such as the run's name.
    package init(labels: [(String, String)]) { self.labels = labels }

    /// All numbers, in the order of their names.
    package var text: String {
        var text = ExpositionText()
        for (name, family) in families.withLock({ $0 }).sorted(by: { $0.key < $1.key }) {
            let series = family.cells.sorted { $0.key.lexicographicallyPrecedes($1.key) }.flatMap { key, cell in
                let own = stride(from: 0, to: key.count, by: 2).map { (key[$0], key[$0 + 1]) }
                return cell.series(labels + own, isSummary: family.kind == .summary)
            }
            text.add(name, family.kind, RunMetric.help(of: name), series)
        }
        return text.text
    }

    /// The series with these labels, the same one each time.
    private func cell(_ name: String, _ dimensions: [(String, String)], _ kind: RunMetric.Kind) -> Cell {
        let key = dimensions.flatMap { [$0.0, $0.1] }
        return families.withLock { families in
            precondition(families[name]?.kind ?? kind == kind, "\(name) is of two kinds")
            if let cell = families[name]?.cells[key] { return cell }
            let cell = Cell()
            families[name, default: Family(kind: kind)].cells[key] = cell
            return cell
        }
    }

    private func remove(_ cell: AnyObject) {
        families.withLock { families in
            for (name, family) in families { families[name]?.cells = family.cells.filter { $0.value !== cell } }
        }
    }
}

extension MetricsRegistry {
    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        cell(label, dimensions, .counter)
    }
    package func makeFloatingPointCounter(
        label: String, dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler { cell(label, dimensions, .counter) }
    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        cell(label, dimensions, .gauge)
    }
    package func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler { cell(label, dimensions, aggregate ? .summary : .gauge) }
    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        cell(label, dimensions, .summary)
    }
    package func destroyCounter(_ handler: any CounterHandler) { remove(handler) }
    package func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) { remove(handler) }
    package func destroyMeter(_ handler: any MeterHandler) { remove(handler) }
    package func destroyRecorder(_ handler: any RecorderHandler) { remove(handler) }
    package func destroyTimer(_ handler: any TimerHandler) { remove(handler) }
}

/// One series: what was last set, or the sum of what was counted.
private final class Cell: CounterHandler, FloatingPointCounterHandler, MeterHandler, RecorderHandler, TimerHandler {
    private struct State: Sendable {
        /// Nil: nothing was told so far.
        var last: Double?
        var sum = 0.0
        var count = 0.0
    }

    private let state = Locked(State())

    func series(_ labels: [(String, String)], isSummary: Bool) -> [ExpositionText.Series] {
        let state = state.withLock { $0 }
        let labels = labels.map { (name: $0.0, value: $0.1) }
        return isSummary
            ? [("_sum", labels, state.sum), ("_count", labels, state.count)] : [("", labels, state.last)]
    }

    private func tell(_ value: Double) {
        state.withLock {
            $0.last = value
            $0.sum += value
            $0.count += 1
        }
    }

    func increment(by amount: Double) { state.withLock { $0.last = ($0.last ?? 0) + amount } }
    func decrement(by amount: Double) { increment(by: -amount) }
    func increment(by amount: Int64) { increment(by: Double(amount)) }
    func reset() { state.withLock { $0.last = 0 } }
    func set(_ value: Int64) { tell(Double(value)) }
    func set(_ value: Double) { tell(value) }
    func record(_ value: Int64) { tell(Double(value)) }
    func record(_ value: Double) { tell(value) }
    func recordNanoseconds(_ duration: Int64) { tell(Double(duration) / 1e9) }
}
