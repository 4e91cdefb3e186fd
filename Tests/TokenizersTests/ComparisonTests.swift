import Testing
import Tokenizers

/// Where two tokenizers differ, and whether one reads what the other writes.
@Suite struct ComparisonTests {
    private static let file = "\(Fixtures.repository)/Tests/Fixtures/golden/bpe-qwen.tokenizer.json"
    private static func definition() throws -> TokenizerDefinition {
        try TokenizerDefinition(json: try Fixtures.json(file), file: file)
    }

    private static func tokenizer(_ change: (inout TokenizerDefinition) -> Void = { _ in }) throws -> Tokenizer {
        var definition = try definition()
        change(&definition)
        return try Tokenizer(definition, file: "changed")
    }

    /// The definition with tokens more, which follow its own.
    private static func adding(_ contents: String...) throws -> Tokenizer {
        let first = Int32(try tokenizer().vocabularySize)
        return try tokenizer { definition in
            for (index, content) in contents.enumerated() {
                definition.addedTokens.append(.init(id: first + Int32(index), content: content))
            }
        }
    }

    private static func described(_ difference: TokenizerDifference?) -> String {
        difference?.described(here: "the student", there: "the teacher") ?? "none"
    }

    /// What is changed of a tokenizer, and the words for it.
    @Test func theFirstDifferenceIsNamed() throws {
        let tokenizer = try Self.tokenizer()
        let size = tokenizer.vocabularySize
        #expect(try tokenizer.difference(from: Self.tokenizer()) == nil)
        let merge = try #require(Self.definition().merges.first)
        let changes: [((inout TokenizerDefinition) -> Void, String)] = [
            (
                { $0.addedTokens[1].content = "nobody" },
                "token id 1 is \"<|im_start|>\" for the student and \"nobody\" for the teacher"
            ),
            (
                { $0.addedTokens.append(.init(id: Int32(size), content: "<more>")) },
                "token id \(size) is none for the student and \"<more>\" for the teacher"
            ),
            (
                { $0.merges.removeFirst() },
                "the student has merge \"\(merge.left)\" \"\(merge.right)\" where the teacher has merge"
            ),
            ({ $0.normalizers = [] }, "the student has normalizer NFC, which the teacher has not"),
            (
                { $0.addedTokens[0].stripsRight.toggle() },
                "the student has added token 0 0 0 0 0 where the teacher has added token 0 0 0 1 0"
            ),
            (
                { $0.decoders.append(.fuse) },
                "the student and the teacher have different decoders, from decoder ByteLevel on"
            ),
        ]
        for (change, words) in changes {
            let other = try Self.tokenizer(change)
            let text = Self.described(tokenizer.difference(from: other))
            #expect(text.hasPrefix(words) && !text.contains("\n"), "\(text) | \(words)")
            #expect(tokenizer.fingerprint != other.fingerprint)
        }
    }

    /// Texts that are equal in Unicode's eyes are other tokens.
    @Test func bytesCount() throws {
        func vocabulary(_ token: String) throws -> Tokenizer {
            try Self.tokenizer { $0.addedTokens.append(.init(id: Int32($0.vocabulary.count + 3), content: token)) }
        }
        let composed = try vocabulary("\u{1EC7}"), decomposed = try vocabulary("e\u{323}\u{302}")
        #expect(composed.difference(from: decomposed) != nil)
        #expect(composed.firstToken(notIn: decomposed) != nil)
    }

    @Test func oneWithMoreTokensReadsWhatTheOtherWrites() throws {
        let student = try Self.tokenizer(), teacher = try Self.adding("<more>", "</more>")
        let size = Int32(student.vocabularySize)
        #expect(student.firstToken(notIn: teacher) == nil)
        #expect(teacher.firstToken(notIn: student) == .token(size, here: "<more>", there: nil))
        #expect(student.ids(knownOnlyTo: teacher) == [size, size + 1])
        #expect(teacher.ids(knownOnlyTo: student) == [])
        // What a teacher writes in the place of a student's token is another word, wherever it stands in the vocabulary.
        let renamed = try Self.tokenizer { definition in
            definition.addedTokens[1].content = "<tool>"
            for index in definition.vocabulary.indices where definition.vocabulary[index].id == 1 {
                definition.vocabulary[index].token = "<tool>"
            }
        }
        #expect(
            Self.described(student.firstToken(notIn: renamed)).hasPrefix("token id 1 is \"<|im_start|>\" for")
        )
    }

    /// The same letters stand for other bytes where another decoder reads them.
    @Test func aTokenStandsForTheSameTextOnBothSides() throws {
        let student = try Self.tokenizer(), teacher = try Self.tokenizer { $0.decoders = [.fuse] }
        guard case .text(_, let here, let there)? = student.firstToken(notIn: teacher) else {
            return #expect(Bool(false), "the decoder is looked over")
        }
        #expect(here != there)
    }

    /// Spellings of SentencePiece tokenizers that differ in where they put a space, and in nothing that is a token's.
    @Test func aSpaceAtTheBeginningIsNoTokens() throws {
        let file = "\(Fixtures.repository)/Tests/Fixtures/golden/spm/spm-llama2.tokenizer.json"
        let definition = try TokenizerDefinition(json: try Fixtures.json(file), file: file)
        var other = definition
        other.decoders = other.decoders.filter { if case .strip = $0 { false } else { true } }
        #expect(other.decoders.count < definition.decoders.count)
        let one = try Tokenizer(definition, file: file), two = try Tokenizer(other, file: file)
        #expect(one.difference(from: two) != nil)
        #expect(one.firstToken(notIn: two) == nil && two.firstToken(notIn: one) == nil)
    }

    @Test func theFirstTokenThatIsReadOtherwiseIsNamed() throws {
        let student = try Self.tokenizer(), teacher = try Self.adding("<more>")
        #expect(try student.difference(from: teacher, reading: "a river think") == nil)
        let difference = try student.difference(from: teacher, reading: "a <more>")
        let place = try student.encode("a ").count
        guard case .reading(let found, let here?, let there?)? = difference else {
            return #expect(Bool(false), "the added token is not found")
        }
        #expect(there.token == "<more>" && there.id == Int32(student.vocabularySize) && here.token != "<more>")
        #expect(found <= place)
        #expect(
            Self.described(difference).hasSuffix("and \"<more>\" (id \(student.vocabularySize)) for the teacher"))
        // One text goes on where the other ends.
        let longer = try Self.tokenizer { $0.addedTokens[0].stripsRight = true }
        let ends = try student.difference(from: longer, reading: "\(student.definition.addedTokens[0].content) ")
        #expect(Self.described(ends).hasSuffix("and none for the teacher"))
    }

    /// From the added tokens alone, whoever has the vocabulary knows a tokenizer.
    @Test func addedTokensTellATokenizer() throws {
        let student = try Self.tokenizer()
        let teacher = try Self.tokenizer { definition in
            definition.addedTokens[0].stripsLeft = true
            definition.addedTokens.append(
                .init(
                    id: Int32(student.vocabularySize), content: " two words\n", singleWord: true, stripsRight: true,
                    isNormalized: true))
        }
        let texts = teacher.addedTokenTexts
        #expect(texts.last == "\(student.vocabularySize) 1011  two words\n")
        let told = try #require(student.replacingAddedTokens(texts))
        #expect(told.fingerprint == teacher.fingerprint)
        #expect(try told.encode("a <|im_end|> two words\n b") == teacher.encode("a <|im_end|> two words\n b"))
        // What is no token's text is none.
        for wrong in ["", "7", "7 0000", "-1 0000 a", "x 0000 a", "7 000 a", "7 0002 a", "99999999999 0000 a"] {
            #expect(student.replacingAddedTokens([wrong]) == nil, "\(wrong)")
        }
        #expect(student.replacingAddedTokens(["16777215 0000 "]) != nil, "an empty one counts for nothing")
    }
}
