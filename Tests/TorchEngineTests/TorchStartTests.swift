import Distillation
import Engines
import Foundation
import NativeEngine
import TestSupport
import Testing
import TorchEngine
import Wire

/// Engines that do not start, behind programs that are no python with torch: one line each, and whose fault it is.
@Suite struct TorchStartTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private static let hasPython = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").contains {
        FileManager.default.isExecutableFile(atPath: "\($0)/python3")
    }

    /// What a trainer that is to be computed by a shell script says of it.
    private func failure(_ script: String, processes: Int = 1) async throws -> any Error {
        let program = "\(folder.path)/python"
        try Data("#!/bin/sh\n\(script)\n".utf8).write(to: URL(filePath: program))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: program)
        let reference = TorchReference(
            python: program, processes: processes, device: "cpu", logPath: "\(folder.path)/torch.log")
        let options = TrainerOptions(
            threads: 1, tokenBudget: 64,
            optimizer: AdamWSettings(beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1, clipGradNorm: 1))
        let model = ModelReference(path: "Examples/models/arithmetic-student", type: .f32)
        while true {
            do {
                _ = try await TorchEngineFactory(reference, native: NativeEngineFactory()).trainer(model, options)
                throw EngineError("it started")
            } catch {
                // A process that another test starts holds the script as it was written, until it runs its own program.
                guard "\(error)".contains("Text file busy") else { return error }
            }
        }
    }

    @Test func whatAPackageSaysOfItselfIsTheReason() async throws {
        let missing = try await failure("echo 'opd_torch: torch is missing in /x; install it' >&2; exit 3")
        #expect((missing as? EngineRefusal)?.subject == .engine)
        let line = "torch.python: \(folder.path)/python: the engine ended with exit status 3: torch is missing in /x"
        #expect("\(missing)".hasPrefix(line), "\(missing)")
        // The log of an engine that was started before is in front of it.
        let again = try await failure("echo 'opd_torch: torch is missing in /x; install it' >&2; exit 3")
        #expect("\(again)" == "\(missing)")
        let broken = try await failure("echo Traceback >&2; echo 'ImportError: libcudart.so.12' >&2; exit 1")
        #expect((broken as? EngineRefusal)?.subject == .engine)
        #expect("\(broken)".hasSuffix("ended with exit status 1: ImportError: libcudart.so.12"), "\(broken)")
    }

    /// Memory that runs out is no mistake in a configuration, and what was written last is about something else.
    @Test func whoIsKilledIsToldWhatToChange() async throws {
        let one = try await failure("echo 'warnings.warn(' >&2; kill -9 $$")
        #expect(one is EngineError)
        #expect("\(one)".hasPrefix("the torch engine was killed by signal 9 (SIGKILL; "), "\(one)")
        #expect("\(one)".contains("lower training.token_budget") && !"\(one)".contains("warnings"), "\(one)")
        let report = [
            "Root Cause (first observed failure):", "[0]:", "  rank : 1 (local_rank: 1)", "  exitcode : -9 (pid: 7)",
        ]
        let two = try await failure(
            report.map { "echo '\($0)' >&2" }.joined(separator: "\n") + "\nexit 1", processes: 2)
        #expect(two is EngineError)
        let line =
            "the torch engine ended with exit status 1: rank 1 was killed by signal 9; where memory ran out, lower"
        #expect("\(two)".hasPrefix(line), "\(two)")
    }

    /// The package itself looks before it imports anything: every python3 will do for that.
    @Test(.enabled(if: hasPython)) func anOldTorchIsNamedWithItsVersion() async throws {
        let info = "\(folder.path)/old/torch-2.6.0.dist-info"
        try FileManager.default.createDirectory(atPath: info, withIntermediateDirectories: true)
        try Data("Metadata-Version: 2.1\nName: torch\nVersion: 2.6.0+cpu\n".utf8).write(
            to: URL(filePath: "\(info)/METADATA"))
        let old = try await failure("PYTHONPATH=\(folder.path)/old:$PYTHONPATH exec python3 \"$@\"")
        #expect((old as? EngineRefusal)?.subject == .engine)
        #expect(
            "\(old)".contains("torch 2.6.0+cpu in ") && "\(old)".contains("is too old; 2.11 or newer is needed"),
            "\(old)")
    }
}
