import Foundation
import Testing

/// A configuration in Examples, a few steps of it.
enum ExampleRun {
    /// Runs it as `folder`/runs/short, without evaluations and checkpoints but the last, where settings do not say
    /// otherwise.
    /// - Parameter name: of the file, without its ending.
    /// - Returns: the lines of its metrics, and what it has printed.
    static func run(
        _ name: String, steps: Int, _ settings: [String] = [], in folder: String, within seconds: Double = 300
    ) async throws -> (metrics: [[String: String]], output: Binary.Output) {
        let all = ["training.steps=\(steps)", "evaluation.every=0", "checkpoint.every=0"] + settings
        let result = try await Binary.run(
            ["run", "Examples/\(name).yaml", "--set", "run_folder=\(folder)/runs/short"]
                + all.flatMap { ["--set", $0] },
            in: QuickStartTests.repository, within: seconds)
        try #require(result.status == 0, "\(result.errors)")
        return (try ProcessRunTests.metrics(folder, run: "short"), result)
    }
}
