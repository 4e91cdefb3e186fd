import NativeEngine
import Telemetry
import Wording

/// A profile as a table for a person, in the order given; `between` is the time outside all operations.
/// - Parameters:
///   - total: seconds that the profile covers.
///   - matmulRate: the limit; nil: not measured.
func profileTable(_ operations: [ModelMeasurement.Operation], total: Double, matmulRate: Double?) -> String {
    func row(_ name: String, _ calls: String, _ seconds: Double, _ flops: Double) -> String {
        let rate = flops > 0 && seconds > 0 ? flops / seconds : nil
        let share = rate.flatMap { rate in matmulRate.map { rate / $0 } }
        return column(name, 20, left: true) + column(calls, 9) + column(ProgressLine.fixed(seconds, 3), 10)
            + column(ProgressLine.fixed(100 * seconds / total, 1) + "%", 8)
            + column(rate.map { ProgressLine.fixed($0 / 1e9, 0) } ?? "-", 10)
            + column(share.map { ProgressLine.fixed(100 * $0, 0) + "%" } ?? "-", 10)
    }
    var lines = ["operation               calls   seconds   share   GFLOP/s  of limit"]
    for operation in operations {
        lines.append(row(operation.name, String(operation.calls), operation.seconds, operation.operations))
    }
    let inside = operations.reduce(0) { $0 + $1.seconds }
    lines.append(row("between", "-", total - inside, 0))
    return lines.joined(separator: "\n")
}

private func column(_ text: String, _ width: Int, left: Bool = false) -> String {
    let space = String(repeating: " ", count: max(0, width - text.count))
    return left ? text + space : space + text
}
