import Hashing
import Testing
import Tokenizers

@Suite struct FingerprintTests {
    /// The examples of FIPS 180-4 and of its validation suite.
    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
        (
            String(repeating: "a", count: 1_000_000),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
        ),
    ]) func hashesAsTheStandardSays(text: String, digest: String) {
        var hash = SHA256()
        hash.update(Array(text.utf8))
        #expect(hash.hexDigest == digest)
    }

    /// However the bytes come.
    @Test func hashesPieces() {
        let bytes = (0..<300).map { UInt8(truncatingIfNeeded: $0 * 7) }
        var whole = SHA256()
        whole.update(bytes)
        for size in [1, 3, 63, 64, 65, 128, 200] {
            var hash = SHA256()
            for start in stride(from: 0, to: bytes.count, by: size) {
                hash.update(Array(bytes[start..<min(start + size, bytes.count)]))
            }
            #expect(hash.hexDigest == whole.hexDigest)
        }
    }

    /// The fingerprints are those that Examples/python/scorer.py computes from the same files.
    @Test(arguments: [
        ("bpe-qwen", "e91f95261b6d4de62e4f96aaa71c47d4504d4d932a3554189c1c5f9a427315c3"),
        ("bpe-llama3", "c307228069e8e810f6014a812a295f58637963322506712a6339a4ba96cf7a80"),
        ("spm/spm-mistral", "880b1bf2c9b982d5274817de12fc6a3bb3ed5680497b2d424f708cb8c1905b03"),
        ("spm/spm-gemma", "f656982ce4127ae3ee5625c1db26ab00478de2a03b8fc61e76029bd73ffd06ec"),
        ("spm/spm-always", "b317f26796cb8fae2fe790bf04704a2985b6085575457f3d98be45cf6bb1f4c3"),
    ]) func isWhatAnotherProgramComputes(name: String, fingerprint: String) throws {
        let file = "\(Fixtures.repository)/Tests/Fixtures/golden/\(name).tokenizer.json"
        let definition = try TokenizerDefinition(json: try Fixtures.json(file), file: file)
        #expect(try Tokenizer(definition, file: file).fingerprint == fingerprint)
    }

    /// Whatever changes ids or what they mean changes it.
    @Test func everyPartCounts() throws {
        let file = "\(Fixtures.repository)/Tests/Fixtures/golden/bpe-qwen.tokenizer.json"
        let definition = try TokenizerDefinition(json: try Fixtures.json(file), file: file)
        let fingerprint = try Tokenizer(definition, file: file).fingerprint
        let changes: [(inout TokenizerDefinition) -> Void] = [
            { $0.merges.swapAt(0, $0.merges.count - 1) },
            { $0.addedTokens[0].stripsLeft.toggle() },
            { $0.addedTokens[0].content += "x" },
            { $0.normalizers = $0.normalizers.isEmpty ? [.nfc] : [] },
            { $0.preTokenizers.insert(.digits(individual: true), at: 0) },
            { $0.ignoresMerges.toggle() },
        ]
        for (index, change) in changes.enumerated() {
            var other = definition
            change(&other)
            #expect(try Tokenizer(other, file: file).fingerprint != fingerprint, "change \(index)")
        }
    }
}
