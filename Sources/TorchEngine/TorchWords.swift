import Foundation

/// What the processes of an engine wrote before they ended, made into the one line that says why.
package enum TorchWords {
    /// How a rank's own words begin.
    private static let prefix = "opd_torch: "
    /// What to change where the system has ended a process for its memory.
    package static let advice =
        "where memory ran out, lower training.token_budget (of who samples, pipeline.slots), set torch.recompute: true, "
        + "or raise torch.processes"

    /// What a rank said of its end; nil where none did.
    package static func said(in lines: [String]) -> String? {
        // The first that speaks: what other ranks say then follows from it.
        for line in lines {
            if let range = line.range(of: prefix) { return String(line[range.upperBound...]) }
        }
        return nil
    }

    /// - Parameter lines: the last of their log.
    /// - Returns: what a rank said of its end; or what torchrun reports of the rank that ended first; or else the last
    ///   line, nil where there is none.
    package static func reason(in lines: [String]) -> String? {
        if let said = said(in: lines) { return said }
        if let line = lines.last(where: { $0.contains("No module named opd_torch") }) {
            return line + "; install it with pip install Sources/TorchEngine/Python, of the repository of opd"
        }
        return reported(in: lines) ?? lines.last
    }

    /// The first failure in torchrun's report, whose lines are `rank : 1 (local_rank: 1)` and `exitcode : -9 (pid: 7)`.
    private static func reported(in lines: [String]) -> String? {
        guard let cause = lines.firstIndex(where: { $0.contains("Root Cause") }) else { return nil }
        func number(_ key: String) -> Int? {
            for line in lines[cause...] {
                let parts = line.split(separator: ":", maxSplits: 1)
                guard parts.count == 2, parts[0].split(separator: " ").elementsEqual([key[...]]) else { continue }
                return parts[1].split(separator: " ").first.flatMap { Int($0) }
            }
            return nil
        }
        guard let rank = number("rank"), let code = number("exitcode") else { return nil }
        guard code < 0 else { return "rank \(rank) ended with exit status \(code)" }
        return "rank \(rank) was killed by signal \(-code)" + (code == -9 ? "; \(advice)" : "")
    }
}
