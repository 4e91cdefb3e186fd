import Foundation
import JSON
import Tokenizers

/// Where tests find golden cases and installed models.
enum Fixtures {
    static let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path

    /// The directory of golden cases: `OPD_GOLDEN`, or the fixtures of this repository.
    static let golden = ProcessInfo.processInfo.environment["OPD_GOLDEN"] ?? repository + "/Tests/Fixtures/golden"

    /// The tokenizer of the installed SmolLM2 under `OPD_MODELS` or `models`; nil when it is not installed.
    static let smollm2: String? = {
        let models = ProcessInfo.processInfo.environment["OPD_MODELS"] ?? repository + "/models"
        let path = models + "/smollm2/tokenizer.json"
        return FileManager.default.fileExists(atPath: path) ? path : nil
    }()

    static func json(_ path: String) throws -> JSONValue {
        try JSONValue.parse(Array(try Data(contentsOf: URL(filePath: path))))
    }

    static func tokenizer(_ path: String) throws -> Tokenizer {
        try Tokenizer(json: Array(try Data(contentsOf: URL(filePath: path))), file: path)
    }

    /// A byte-level tokenizer whose vocabulary is the 256 bytes and these words, joined from the left.
    static func definition(
        words: [String] = [], added: [TokenizerDefinition.AddedToken] = [],
        preTokenizers: [TokenizerDefinition.PreTokenizer] = [.byteLevel(addPrefixSpace: false, useRegex: true)]
    ) -> TokenizerDefinition {
        var vocabulary = (0..<256).map { byte -> TokenizerDefinition.VocabularyEntry in
            .init(token: String(letter(UInt8(byte))), id: Int32(byte))
        }
        var known = Set(vocabulary.map(\.token))
        var merges: [TokenizerDefinition.Merge] = []
        for word in words {
            let letters = word.utf8.map { String(letter($0)) }
            var joined = letters[0]
            for next in letters.dropFirst() {
                let merge = TokenizerDefinition.Merge(left: joined, right: next)
                joined += next
                if known.insert(joined).inserted {
                    vocabulary.append(.init(token: joined, id: Int32(vocabulary.count)))
                    merges.append(merge)
                }
            }
        }
        return TokenizerDefinition(
            vocabulary: vocabulary, merges: merges, addedTokens: added, preTokenizers: preTokenizers)
    }

    /// GPT-2's letter of a byte, made anew so that the tests do not trust the code they test.
    static func letter(_ byte: UInt8) -> Unicode.Scalar { letters[Int(byte)] }

    private static let letters: [Unicode.Scalar] = {
        let printable = Set(33...126).union(161...172).union(174...255)
        let others = (0..<256).filter { !printable.contains($0) }
        return (0..<256).map { byte in
            let value = printable.contains(byte) ? byte : 256 + others.firstIndex(of: byte)!
            return Unicode.Scalar(UInt32(value))!
        }
    }()
}
