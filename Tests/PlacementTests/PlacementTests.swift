import Configuration
import Files
import Foundation
import Placement
import TestSupport
import Testing
import Wording

/// Requests as a whole, before anything is started.
@Suite struct PlacementTests {
    /// A request of a run with one process on one machine, whose `ssh` is a program that cannot reach it.
    private static func request(_ folder: String, ssh: String) throws -> UpRequest {
        let file = try HostsFile.parse(
            "learner: { address: 127.0.0.1 }\nhosts: { a: { ssh: \(ssh), workers: 1 } }", source: "hosts.yaml")
        var configuration = RunConfiguration()
        configuration.runFolder = "\(folder)/run"
        return UpRequest(file: file, source: "hosts.yaml", configuration: configuration)
    }

    private static func placing<Result>(
        _ folder: String, _ body: (Placement) async throws -> Result
    ) async throws -> Result {
        let shell = try HostShell()
        let placement = try Placement(run: "\(folder)/run", shell: shell) { _ in }
        do {
            let result = try await body(placement)
            await shell.close()
            return result
        } catch {
            await shell.close()
            throw error
        }
    }

    /// What runs at the old place would be ended by nobody.
    @Test func aMachineThatIsReachedOtherwiseIsAskedWhereItWas() async throws {
        try await withTemporaryFolder { folder in
            let records = PlacementRecord.folder(of: "\(folder)/run")
            try FileManager.default.createDirectory(atPath: records, withIntermediateDirectories: true)
            var record = PlacementRecord(name: "run", runFolder: "\(folder)/run", learner: "here")
            // A name that no resolver knows.
            record.hosts["a"] = .init(ssh: "old.invalid", folder: "opd", key: 1)
            try record.write(to: records)
            let request = try Self.request(folder, ssh: "new.invalid")
            let error = await #expect(throws: UsageError.self) {
                try await Self.placing(folder) { try await $0.up(request) }
            }
            #expect(error?.message.contains("a was old.invalid with folder 'opd' until now") == true)
            #expect(error?.message.contains("cannot be asked") == true)
            #expect(try PlacementRecord.read(from: records) == record, "it is remembered where it was")
        }
    }

    /// Who watches would start again what was to be ended, once its machine answers.
    @Test func whatIsAwayIsPausedByAnEndOfEverything() async throws {
        try await withTemporaryFolder { folder in
            let records = PlacementRecord.folder(of: "\(folder)/run")
            try FileManager.default.createDirectory(atPath: records, withIntermediateDirectories: true)
            var record = PlacementRecord(name: "run", runFolder: "\(folder)/run", learner: "a")
            for (number, name) in ["a", "b"].enumerated() {
                record.hosts[name] = .init(ssh: "\(name).invalid", folder: "opd", key: number)
            }
            try record.write(to: records)
            let outcome = try await Self.placing(folder) { try await $0.down(learnerGrace: 1) }
            #expect(outcome.failures.count == 2)
            #expect(outcome.ended.isEmpty)
            #expect(try PlacementRecord.read(from: records).hosts.values.allSatisfy(\.isPaused))
        }
    }

    @Test func anotherCommandIsWaitedForAndWhoWatchesDoesNot() async throws {
        try await withTemporaryFolder { folder in
            // Held as another process holds it.
            let other = open(folder, O_RDONLY | O_CLOEXEC)
            try #require(other >= 0 && flock(other, LOCK_EX) == 0)
            await #expect(throws: PlacementBusy.self) { _ = try await PlacementRecord.lock(folder, patience: .zero) }
            let waiting = Task { _ = try await PlacementRecord.lock(folder) }
            await Task.yield()
            close(other)
            try await waiting.value
        }
    }
}
