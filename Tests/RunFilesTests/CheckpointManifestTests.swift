import Glibc
import RunFiles
import TestSupport
import Testing

@Suite struct CheckpointManifestTests {
    let temporary: TemporaryFolder
    let store: CheckpointStore

    init() throws {
        temporary = try TemporaryFolder()
        store = try temporary.checkpointStore()
        for step in [2, 4, 6] {
            _ = try store.save(step: step) { folder in
                try #require(mkdir("\(folder)/model", 0o777) == 0)
                try writeText("weights \(step)", to: "\(folder)/model/model.safetensors")
                try writeText("a tokenizer", to: "\(folder)/model/tokenizer.json")
                try writeText("moments", to: "\(folder)/optimizer.safetensors")
                try writeText("{}", to: "\(folder)/state.json")
            }
        }
    }

    private func intact() throws -> (step: Int?, refused: [String]) {
        var refused: [String] = []
        let step = try store.latestIntact { refused.append("\(names($0)): \($1)") }?.step
        return (step, refused)
    }

    private func names(_ checkpoint: Checkpoint) -> String { String(checkpoint.path.split(separator: "/").last!) }

    private func inNewest(_ command: String) throws {
        #expect(try shell("cd '\(store.folder)/step-000006' && \(command)") == 0)
    }

    @Test func anIntactOneIsTaken() throws {
        for checkpoint in store.list() { #expect(checkpoint.flaw() == nil) }
        let found = try intact()
        #expect(found.step == 6 && found.refused.isEmpty)
    }

    @Test(arguments: [
        ("rm model/model.safetensors", "model/model.safetensors is missing"),
        ("rm -r model", "model/model.safetensors is missing"),
        ("rm -r model && touch model", "model/model.safetensors is missing"),
        ("printf 'weights 7' > model/model.safetensors", "model/model.safetensors has a wrong checksum"),
        ("printf 'weigh' > model/model.safetensors", "model/model.safetensors has 5 bytes, not 9"),
        ("printf ' ' >> model/tokenizer.json", "model/tokenizer.json has 12 bytes, not 11"),
        (": > optimizer.safetensors", "optimizer.safetensors has 0 bytes, not 7"),
        ("printf '[]' > state.json", "state.json has a wrong checksum"),
        ("mv state.json s && ln -s s state.json", "state.json is a link"),
        ("mv model m && ln -s m model", "model/model.safetensors is a link"),
        ("rm state.json && mkdir state.json", "state.json is a folder"),
        ("rm manifest", "manifest is missing"),
        ("cp manifest m && rm manifest && ln -s m manifest", "manifest is missing"),
        (": > manifest", "manifest is damaged"),
        ("head -c 60 manifest > m && mv m manifest", "manifest is damaged"),
        ("head -n 3 manifest > m && mv m manifest", "manifest is damaged"),
        ("sed -i s,model/,../x/, manifest", "manifest is damaged"),
        ("head -c 2000 /dev/urandom > manifest", "manifest is damaged"),
    ])
    func aDamagedOneIsRefusedByName(damage: String, flaw: String) throws {
        try inNewest(damage)
        let found = try intact()
        #expect(found.step == 4)
        #expect(found.refused == ["step-000006: \(flaw)"])
        #expect(store.latest()?.step == 4, "what is used is the latest from here on")
        #expect(try intact().refused == [], "and the next start has nothing to complain of")
    }

    @Test(arguments: ["../outside", "/etc/passwd", "model//x", "model/../state.json", "."])
    func aManifestThatLeavesTheFolderIsRefused(name: String) throws {
        // The sums are right: only the name is wrong.
        try inNewest(
            """
            python3 -c "
            import zlib
            text = 'opd checkpoint manifest 1\\n00000000 0 \(name)\\n'
            open('manifest', 'w').write('%s%08x end\\n' % (text, zlib.crc32(text.encode())))"
            """)
        let found = try intact()
        #expect(found.step == 4)
        #expect(found.refused == ["step-000006: manifest names a file outside the checkpoint"])
    }

    @Test func severalDamagedOnesAreSteppedOver() throws {
        #expect(try shell("cd '\(store.folder)' && rm step-000006/state.json step-000004/optimizer.safetensors") == 0)
        let found = try intact()
        #expect(found.step == 2)
        #expect(
            found.refused
                == ["step-000006: state.json is missing", "step-000004: optimizer.safetensors is missing"])
    }

    @Test func withoutAnIntactOneNothingIsTaken() throws {
        #expect(try shell("rm '\(store.folder)'/step-*/manifest") == 0)
        let error = #expect(throws: CheckpointError.self) { _ = try intact() }
        #expect(
            error?.description
                == "\(store.folder): every checkpoint is damaged; bring one back from a copy, or start another run")
        #expect(try CheckpointStore(folder: "\(temporary.path)/none").latestIntact { _, _ in } == nil)
    }

    @Test func everySoManyAreKeptForEver() throws {
        for step in 7...10 { _ = try store.save(step: step) { _ in } }
        try store.prune(keepLast: 1, keepEvery: 4)
        #expect(store.list().map(\.step) == [4, 8, 10])
        try store.prune(keepLast: 2, keepEvery: 0)
        #expect(store.list().map(\.step) == [8, 10])
    }
}
