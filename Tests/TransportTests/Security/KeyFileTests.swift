import Foundation
import TestSupport
import Testing
import Transport
import ZeroMQ

@Suite struct KeyFileTests {
    private func mode(_ path: String) throws -> Int {
        try #require(FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int)
    }

    private func refusal(_ body: () throws -> Void) -> String {
        do {
            try body()
            return ""
        } catch {
            return "\(error)"
        }
    }

    @Test func aPairIsWrittenAndReadBack() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/keys/learner"
        let written = try KeyFile.generate(path)
        #expect(written.secret == path + ".key" && written.publicFile == path + ".pub")
        #expect(try mode(written.secret) == 0o600)
        #expect(try mode(written.publicFile) == 0o644)
        let pair = try KeyFile.secret(written.secret)
        #expect(pair.publicKey == written.publicKey)
        #expect(try KeyFile.publicKey(written.publicFile) == written.publicKey)
        let text = try String(contentsOfFile: written.publicFile, encoding: .utf8)
        #expect(!text.contains(pair.secretKey.text))
        // Nothing is written over a key that may be in use.
        #expect(refusal { _ = try KeyFile.generate(path) }.contains("exists"))
        #expect(try KeyFile.secret(written.secret).publicKey == written.publicKey)
    }

    @Test(arguments: [0o640, 0o604, 0o660, 0o644, 0o700, 0o4600])
    func aSecretThatOthersMayReadIsRefused(mode: Int) throws {
        let folder = try TemporaryFolder()
        let written = try KeyFile.generate("\(folder.path)/k")
        let secret = try KeyFile.secret(written.secret).secretKey.text
        #expect(chmod(written.secret, mode_t(mode)) == 0)
        let text = refusal { _ = try KeyFile.secret(written.secret) }
        #expect(text.contains("has mode 0\(String(mode, radix: 8))") && text.contains("chmod 600 \(written.secret)"))
        #expect(!text.contains(secret))
        #expect(chmod(written.secret, 0o400) == 0)
        #expect(throws: Never.self) { try KeyFile.secret(written.secret) }
    }

    @Test func filesOfAnotherKindAreNamed() throws {
        let folder = try TemporaryFolder()
        let written = try KeyFile.generate("\(folder.path)/k")
        #expect(refusal { _ = try KeyFile.publicKey(written.secret) }.contains("name the file that ends in .pub"))
        #expect(chmod(written.publicFile, 0o600) == 0)
        #expect(refusal { _ = try KeyFile.secret(written.publicFile) }.contains("name the file that ends in .key"))
        #expect(refusal { _ = try KeyFile.secret("\(folder.path)/none.key") }.contains("No such file"))
        #expect(refusal { _ = try KeyFile.secret(folder.path) }.contains("is not a file"))
        #expect(mkfifo("\(folder.path)/pipe", 0o600) == 0)
        #expect(refusal { _ = try KeyFile.secret("\(folder.path)/pipe") }.contains("is not a file"))
        // A public key that is not the secret one's.
        let other = try CurveKeyPair.generate().publicKey.text
        let text = try String(contentsOfFile: written.secret, encoding: .utf8)
        try text.replacing(written.publicKey.text, with: other).write(
            toFile: written.secret, atomically: false, encoding: .utf8)
        let message = refusal { _ = try KeyFile.secret(written.secret) }
        #expect(message.contains("is damaged"))
    }

    @Test func aListHasOneKeyALine() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/clients"
        let keys = try (0..<100).map { _ in try CurveKeyPair.generate().publicKey }
        try KeyFile.writeClients(keys.map { ($0, "name") }, to: path)
        #expect(try KeyFile.clients(path) == Set(keys))
        try "# a comment\n\n  \(keys[0])\n#another\n\(keys[1])\ttwo words\r\n".write(
            toFile: path, atomically: false, encoding: .utf8)
        #expect(try KeyFile.clients(path) == [keys[0], keys[1]])
        try "\(keys[0])\nnot-a-key\n".write(toFile: path, atomically: false, encoding: .utf8)
        #expect(refusal { _ = try KeyFile.clients(path) }.contains("clients:2: expected a public key"))
    }

    @Test func secretsAreNotPrinted() throws {
        let pair = try CurveKeyPair.generate()
        let keys = LearnerKeys(keys: pair, policy: AccessPolicy(rollout: [], scorer: []))
        var dumped = ""
        dump(keys, to: &dumped)
        for text in ["\(pair)", "\(keys)", String(reflecting: keys), dumped] {
            #expect(!text.contains(pair.secretKey.text))
            #expect(text.contains(pair.publicKey.text))
        }
    }
}
