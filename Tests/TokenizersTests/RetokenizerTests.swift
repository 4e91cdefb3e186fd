import Foundation
import JSON
import TestSupport
import Testing
import Tokenizers
import Tokens

/// What one model has written, as another with its own tokenizer reads it.
@Suite struct RetokenizerTests {
    private static let endOfAnswer = "<|im_end|>\n"

    private static func golden(_ name: String) throws -> Tokenizer {
        try Fixtures.tokenizer("\(Fixtures.golden)/\(name).tokenizer.json")
    }

    private static func side(_ tokenizer: Tokenizer) -> Retokenizer.Side {
        Retokenizer.Side(tokenizer, endOfAnswer: endOfAnswer)
    }

    private static func retokenizer(_ student: Tokenizer, _ teacher: Tokenizer) throws -> Retokenizer {
        try Retokenizer(from: side(student), named: "student", to: side(teacher), named: "teacher")
    }

    /// Ids as a model might sample them that has learnt nothing: ordinary and special ones, parts of characters, and now
    /// and then a row that is no token.
    private static func ids(_ tokenizer: Tokenizer, _ random: inout SeededRandom, beyond: Bool = false) -> [Int32] {
        let count = UInt64(tokenizer.vocabularySize + (beyond ? 3 : 0))
        return (0..<random.next() % 24).map { _ in Int32(random.next() % count) }
    }

    /// Fixes that all spans have the same bytes on both sides, and hold all tokens.
    private static func check(
        _ result: RetokenizedResponse, of ids: [Int32], _ student: Tokenizer, _ teacher: Tokenizer
    ) {
        var here = 0, there = 0
        for span in result.spans {
            let (a, b) = (ids[here..<here + span.count], result.ids[there..<there + span.otherCount])
            (here, there) = (a.endIndex, b.endIndex)
            let isSpecial = span.isOneToOne && student.isSpecial(a[a.startIndex])
            if span.isComparable, !isSpecial {
                #expect(a.flatMap { student.bytes(of: $0) ?? [] } == b.flatMap { teacher.bytes(of: $0) ?? [] })
            }
        }
        #expect(here == ids.count && there == result.ids.count)
    }

    @Test(arguments: ["bpe-qwen", "bpe-llama3"]) func withEqualTokenizersAResponseIsWhatItWas(name: String) throws {
        let tokenizer = try Self.golden(name), same = try Self.retokenizer(tokenizer, tokenizer)
        var random = SeededRandom(seed: 1)
        for _ in 0..<2000 {
            let ids = Self.ids(tokenizer, &random)
            let result = same.retokenize(ids, isCutOff: random.next() % 2 == 0)
            #expect(result.ids == ids && result.spans.allSatisfy { $0.isOneToOne }, "\(ids)")
        }
        #expect(same.sharedTokens.count == same.sharedTokens.total)
    }

    /// The same tokens under other ids: every token of any response is the teacher's own.
    @Test(arguments: ["bpe-qwen", "bpe-llama3"]) func otherIDsOfTheSameTokensAreFound(name: String) throws {
        let tokenizer = try Self.golden(name)
        var random = SeededRandom(seed: 2), definition = tokenizer.definition
        let shuffled = definition.vocabulary.map(\.id).shuffled(using: &random)
        var moved: [Int32: Int32] = [:]
        for (index, id) in shuffled.enumerated() {
            moved[definition.vocabulary[index].id] = id
            definition.vocabulary[index].id = id
        }
        for index in definition.addedTokens.indices {
            let id = definition.addedTokens[index].id
            definition.addedTokens[index].id = moved[id] ?? id
        }
        let teacher = try Tokenizer(definition, file: "shuffled"),
            retokenizer = try Self.retokenizer(tokenizer, teacher)
        #expect(teacher.fingerprint != tokenizer.fingerprint)
        for _ in 0..<2000 {
            let ids = Self.ids(tokenizer, &random)
            let result = retokenizer.retokenize(ids, isCutOff: true)
            #expect(result.ids == ids.map { moved[$0] ?? $0 } && result.spans.allSatisfy { $0.isOneToOne }, "\(ids)")
        }
    }

    @Test(arguments: [("bpe-qwen", "bpe-llama3"), ("bpe-llama3", "bpe-qwen")])
    func textsAreReadAsTheTeachersTokenizerReadsThem(student: String, teacher: String) throws {
        let (own, other) = (try Self.golden(student), try Self.golden(teacher))
        let retokenizer = try Self.retokenizer(own, other)
        let cases = try #require(
            try Fixtures.json("\(Fixtures.golden)/tokenizers.json")[student]?.array)
        var compared = 0
        for text in cases.compactMap({ $0["text"]?.string }) where !text.contains("<") {
            let ids = try own.encode(text), result = retokenizer.retokenize(ids, isCutOff: false)
            Self.check(result, of: ids, own, other)
            #expect(result.spans.allSatisfy { $0.isComparable }, "\(text)")
            // Qwen's reads the composed form; what it changes is read in the tokens that the student wrote.
            guard other.decode(try other.encode(text)).utf8.elementsEqual(own.decode(ids).utf8) else { continue }
            #expect(result.ids == (try other.encode(own.decode(ids))), "\(text)")
            compared += 1
        }
        #expect(compared > 10)
        #expect(
            retokenizer.sharedTokens.count > 256 && retokenizer.sharedTokens.count <= retokenizer.sharedTokens.total)
    }

    @Test(arguments: [("bpe-qwen", "bpe-llama3"), ("bpe-llama3", "bpe-qwen")])
    func anyTokensAreReadToTheByte(student: String, teacher: String) throws {
        let (own, other) = (try Self.golden(student), try Self.golden(teacher))
        let retokenizer = try Self.retokenizer(own, other)
        var random = SeededRandom(seed: 5)
        for _ in 0..<2000 {
            let ids = Self.ids(own, &random, beyond: true)
            let result = retokenizer.retokenize(ids, isCutOff: false)
            Self.check(result, of: ids, own, other)
            // A row that is no token is all that has no grade.
            let unknown = ids.count { own.token($0) == nil }
            #expect(result.spans.filter { !$0.isComparable }.map(\.count) == [Int](repeating: 1, count: unknown))
            #expect(result.ids.allSatisfy { other.token($0) != nil })
        }
    }

    /// A word in its letters is graded as such, and does not get the probability of the word.
    @Test func aSpellingOfTheStudentsStaysOne() throws {
        let student = try Tokenizer(Fixtures.definition(words: ["hello", "hel", "lo"]), file: "student")
        let teacher = try Tokenizer(Fixtures.definition(words: ["hello", "lo", "cat"]), file: "teacher")
        let retokenizer = try Self.retokenizer(student, teacher)
        func read(_ tokens: [String]) throws -> [String] {
            let ids = try tokens.map { try #require(student.id(of: $0)) }
            return retokenizer.retokenize(ids, isCutOff: false).ids.map { teacher.token($0) ?? "" }
        }
        #expect(try read(["hello"]) == ["hello"])
        #expect(try read(["hel", "l", "o"]) == ["hel", "l", "o"])
        #expect(try read(["h", "e", "l", "l", "o", "Ġ", "hello"]) == ["h", "e", "l", "l", "o", "Ġ", "hello"])
        #expect(try read(["c", "a", "t"]) == ["cat"])
    }

    /// Letters that spell a token with a part to play are letters.
    @Test func aSpelledTokenPlaysNoPart() throws {
        let student = try Tokenizer(Fixtures.definition(words: ["im", "end"]), file: "student")
        let teacher = try Tokenizer(
            Fixtures.definition(words: ["im"], added: [.init(id: 257, content: "<|im_end|>")]), file: "teacher")
        let retokenizer = try Self.retokenizer(student, teacher)
        let ids = try student.encode("a <|im_end|> b")
        let result = retokenizer.retokenize(ids, isCutOff: false)
        #expect(!result.ids.contains(257) && result.spans.allSatisfy { $0.isComparable })
        Self.check(result, of: ids, student, teacher)
    }

    @Test func whatEndsAnAnswerIsTheOtherSidesEnd() throws {
        func side(_ names: [String], ends: [Int], answer: String) throws -> Retokenizer.Side {
            let added = names.enumerated().map {
                TokenizerDefinition.AddedToken(id: Int32(256 + $0.offset), content: $0.element)
            }
            var tokenizer = try Tokenizer(Fixtures.definition(added: added), file: "side")
            tokenizer.endOfSequenceIDs = ends.map { Int32(256 + $0) }
            return Retokenizer.Side(tokenizer, endOfAnswer: answer)
        }
        let student = try side(["<|end|>", "<|im_end|>", "<tool>", "<mine>"], ends: [1, 0], answer: "<|im_end|>\n")
        let teacher = try side(["<|text|>", "<|eot|>", "<tool>"], ends: [0, 1], answer: "<|eot|>")
        let retokenizer = try Retokenizer(from: student, named: "a", to: teacher, named: "b")
        let result = retokenizer.retokenize([65, 257, 256, 258], isCutOff: false)
        #expect(result.ids == [65, 257, 256, 258] && result.spans.allSatisfy { $0.isOneToOne })
        // One that only the student has is what it spells.
        let mine = retokenizer.retokenize([259], isCutOff: false)
        #expect(mine.ids == "<mine>".utf8.map { Int32($0) } && mine.spans == [TokenSpan(count: 1, otherCount: 6)])
        let mute = try side([], ends: [], answer: "")
        #expect(throws: TokenizerError.self) { try Retokenizer(from: student, named: "a", to: mute, named: "b") }
        #expect(throws: Never.self) { try Retokenizer(from: mute, named: "b", to: student, named: "a") }
    }

    @Test func aResponseThatWasCutOffHasAnOpenEnd() throws {
        let student = try Tokenizer(Fixtures.definition(words: ["he", "hel"]), file: "student")
        let teacher = try Tokenizer(Fixtures.definition(words: ["hello"]), file: "teacher")
        let retokenizer = try Self.retokenizer(student, teacher)
        let ids = try student.encode("a hel") + student.encode("lo")
        func graded(_ ids: [Int32], cut: Bool) -> [Bool] {
            retokenizer.retokenize(ids, isCutOff: cut).spans.map(\.isComparable)
        }
        #expect(graded(ids, cut: false).allSatisfy { $0 })
        // With more text the other side might have read the end otherwise, unless its last token is the student's.
        #expect(graded(ids, cut: true).last == false)
        #expect(graded(ids + (try student.encode("!")), cut: true).allSatisfy { $0 })
        let other = try Self.retokenizer(teacher, student)
        let word = try teacher.encode("a hello")
        #expect(other.retokenize(word, isCutOff: false).spans.last?.isComparable == true)
        #expect(other.retokenize(word, isCutOff: true).spans.last?.isComparable == false)
    }

    /// A teacher that composes characters is given the bytes that the student wrote.
    @Test func whatATeacherWouldComposeIsReadAsItIs() throws {
        let plain = try Tokenizer(Fixtures.definition(), file: "student")
        var definition = Fixtures.definition(words: ["e\u{301}"])
        definition.normalizers = [.nfc]
        let teacher = try Tokenizer(definition, file: "teacher")
        let ids = try plain.encode("ke\u{301}k")
        let result = try Self.retokenizer(plain, teacher).retokenize(ids, isCutOff: false)
        #expect(result.ids == ids && result.spans.allSatisfy { $0.isOneToOne })
    }

    /// A byte that a teacher has no token of has no grade, and what stands beside it has its own.
    @Test func aByteThatTheTeacherLacksHasNoGrade() throws {
        let student = try Tokenizer(Fixtures.definition(), file: "student")
        var definition = Fixtures.definition()
        definition.vocabulary.removeAll { [0x04, 0xFF].contains($0.id) }
        let teacher = try Tokenizer(definition, file: "teacher")
        #expect(teacher.bytesWithoutToken == [0x04, 0xFF])
        let retokenizer = try Self.retokenizer(student, teacher)
        #expect(retokenizer.bytesWithoutToken == 2)
        let result = retokenizer.retokenize([0x61, 0x04, 0x62, 0xFF, 0x63], isCutOff: false)
        #expect(result.ids == [0x61, 0x62, 0x63])
        #expect(result.spans.map(\.isComparable) == [true, false, true, false, true])
        #expect(result.spans.map(\.otherCount) == [1, 0, 1, 0, 1])
    }

    /// A teacher that ends its answers with a token of text cannot say that text and go on: the words beside it keep their
    /// grades, and where another of its tokens has the same bytes so does the text.
    @Test func aStopTokenThatIsTextIsNotSaid() throws {
        let student = try Tokenizer(Fixtures.definition(words: ["hello"]), file: "student")
        func teacher(_ more: [TokenizerDefinition.AddedToken]) throws -> Retokenizer.Side {
            let definition = Fixtures.definition(words: ["hello"], added: more)
            var side = Retokenizer.Side(try Tokenizer(definition, file: "teacher"), endOfAnswer: "")
            side.stopTokenIDs = [0x0A]
            return side
        }
        let ids = try student.encode("hello\nhello")
        #expect(ids.count == 3)
        var mute = Retokenizer.Side(student, endOfAnswer: "")
        mute.stopTokenIDs = []
        let plain = try Retokenizer(from: mute, named: "a", to: try teacher([]), named: "b")
        let cut = plain.retokenize(ids, isCutOff: false)
        #expect(cut.ids == [ids[0], ids[2]] && cut.spans.map(\.isComparable) == [true, false, true])
        #expect(plain.bytesWithoutToken == 1)
        let line = TokenizerDefinition.AddedToken(id: 260, content: "\n", isSpecial: false)
        let both = try Retokenizer(from: mute, named: "a", to: try teacher([line]), named: "b")
        let whole = both.retokenize(ids, isCutOff: false)
        #expect(whole.ids == [ids[0], 260, ids[2]] && whole.spans.allSatisfy { $0.isOneToOne })
        // So does it where tokens stand for themselves, as those of a spelled word.
        let spelled = both.retokenize("hello\n".utf8.map { Int32($0) }, isCutOff: false)
        #expect(spelled.ids == "hello".utf8.map { Int32($0) } + [260] && both.bytesWithoutToken == 0)
    }

    @Test func tokenizersThatChangeTextsAreRefusedByName() throws {
        let plain = try Tokenizer(Fixtures.definition(), file: "student")
        func refusal(from: Tokenizer, to: Tokenizer) -> String {
            do {
                _ = try Self.retokenizer(from, to)
                return ""
            } catch let error as TokenizerError {
                return error.message
            } catch {
                return "\(error)"
            }
        }
        for normalizer in [TokenizerDefinition.Normalizer.lowercase, .nfkc, .nfd] {
            var definition = Fixtures.definition()
            definition.normalizers = [normalizer]
            let teacher = try Tokenizer(definition, file: "teacher")
            #expect(refusal(from: plain, to: teacher).hasPrefix("teacher: the tokens of \""), "\(normalizer)")
            // What it has written has bytes all the same.
            #expect(refusal(from: teacher, to: plain).isEmpty)
        }
        let spaced = Fixtures.definition(preTokenizers: [.byteLevel(addPrefixSpace: true, useRegex: true)])
        #expect(refusal(from: plain, to: try Tokenizer(spaced, file: "teacher")).contains("have other bytes"))
        var short = Fixtures.definition()
        short.vocabulary.removeAll { $0.token == "a" }
        #expect(refusal(from: plain, to: try Tokenizer(short, file: "teacher")).contains("the byte 97 alone"))
        let folder = "\(Fixtures.golden)/spm"
        let file = try #require(
            try FileManager.default.contentsOfDirectory(atPath: folder).first { $0.hasSuffix("tokenizer.json") })
        let pieces = try Fixtures.tokenizer("\(folder)/\(file)")
        #expect(refusal(from: plain, to: pieces).contains("SentencePiece"))
        #expect(refusal(from: pieces, to: plain).hasPrefix("student: "))
    }
}
