import Testing
import Tokenizers

/// Regular expressions of tokenizer files are read as the Hugging Face library reads them.
@Suite struct ExpressionTests {
    /// A tokenizer that replaces what a pattern matches with "|", and keeps every byte.
    private static func replacing(_ pattern: String) throws -> Tokenizer {
        let vocabulary = ByteAlphabet.letters.enumerated().map { index, letter in
            TokenizerDefinition.VocabularyEntry(token: String(letter), id: Int32(index))
        }
        return try Tokenizer(
            TokenizerDefinition(
                vocabulary: vocabulary, merges: [], addedTokens: [],
                normalizers: [.replace(.regex(pattern), with: "|")],
                preTokenizers: [.byteLevel(addPrefixSpace: false, useRegex: false)]), file: "patterns")
    }

    /// A pattern, a text, and what `tokenizers.normalizers.Replace(Regex(pattern), "|")` makes of it.
    @Test(arguments: [
        ("\\w", "a\u{BD}\u{B2}_\u{E9}\u{301} \u{203F}-\u{661}", "|||||| |-|"),
        ("[\\w]", "a\u{BD}\u{B2}_\u{E9}\u{301} -", "|\u{BD}\u{B2}||| -"),
        ("\\W", "a\u{BD}\u{B2}_ -", "a\u{BD}\u{B2}_||"),
        ("[\\W_]", "a\u{BD}_ -", "a||||"),
        ("[^\\W\\d_]", "a\u{BD}_ 1-\u{E9}", "|\u{BD}_ 1-|"),
        ("[^\\W]", "a\u{BD}_ -", "|\u{BD}| -"),
        ("[\\W]", "a\u{BD}_ -", "a|_||"),
        ("\\b", "a\u{BD} b-c", "|a\u{BD}| |b|-|c|"),
        ("\\B", "a\u{BD} b-c", "a|\u{BD} b-c"),
        ("\\h", "gAf9z", "g|||z"),
        ("\\H", "gAf9", "|Af9"),
        ("\\v", "\u{A}\u{B}\u{9}", "\u{A}|\u{9}"),
        ("[\\h\\v]", "f\u{B}g", "||g"),
        ("\\d{1,3}+", "12345678 1", "| |"),
        ("\\d{1,3}", "12345678 1", "||| |"),
        ("a{2}?b", "aab b ab", "| | a|"),
        ("a{,2}b", "aaab b", "a| |"),
        ("a{,}b", "a{,}b ab", "| ab"),
        ("a**b", "aab b", "| |"),
        ("a+?b", "aab", "|"),
        ("a++b", "aab", "|"),
        ("(?:ab){2}+c", "ababababc abc", "| abc"),
        ("x(?i)a|b", "xa xA xb B b xB", "| | | B b |"),
        ("(x(?i)a|b)c", "xac xBc xbc bc", "| | | bc"),
        ("(?i:k)|s", "kKK sS", "||| |S"),
        ("(?m:a.b)", "a\u{A}b", "|"),
        ("a.b", "a\u{A}b", "a\u{A}b"),
        ("(?i-m:A.b)", "a\u{A}b axB", "a\u{A}b |"),
        ("[a[bc]d]", "abcde", "||||e"),
        ("[^(\\s|[.,!?\u{2026}])]+", "a(b|c. d,e\u{2026}f)", "|(|||. |,|\u{2026}|)"),
        ("[[a-c]-z]", "a-z b y", "||| | y"),
        ("[a-c-e]", "a-e d", "||| d"),
        ("[]a]", "]a", "||"),
        ("[a&b]", "a&b", "|||"),
        ("[-a]", "-a", "||"),
        ("[[:alpha:]]", "a\u{E9}\u{301}1_", "||\u{301}1_"),
        ("[[:alnum:]]", "a\u{E9}\u{301}1\u{BD}_", "||\u{301}|\u{BD}_"),
        ("[[:word:]]", "a\u{BD}_1-", "|\u{BD}||-"),
        ("[[:punct:]]", "a.$_+", "a||||"),
        ("[[:upper:]]", "aA\u{1C5}", "a|\u{1C5}"),
        ("[[:blank:]]", " \u{9}\u{A}\u{A0}", "||\u{A}|"),
        ("\\p{Han}", "\u{4E2D}\u{FF0C}\u{3005}\u{4E00}", "|\u{FF0C}||"),
        ("\\p{Hiragana}", "\u{3042}\u{30FC}\u{3001}", "|\u{30FC}\u{3001}"),
        ("\\p{Alpha}", "a\u{E9}\u{301}\u{2167}1", "||\u{301}|1"),
        ("\\p{letter}", "a1", "|1"),
        ("\\p{ L u }", "aA", "a|"),
        ("\\p{^L}", "a1", "a|"),
        ("\\P{^L}", "a1", "|1"),
        ("\\p{Uppercase_Letter}+", "aAB", "a|"),
        ("\\p{Punct}", "a.$_", "a|$|"),
        ("\\p{Cyrillic}+", "a\u{436}\u{416}b", "a|b"),
        ("\\u4e00", "\u{4E00}a", "|a"),
        ("[\\u4e00-\\u9fa5]+", "\u{4E00}\u{4E01}a", "|a"),
        ("\\x41", "AB", "|B"),
        ("\\x{4E00}", "\u{4E00}", "|"),
        ("[\\x41-\\x43]", "ABD", "||D"),
        ("\\-\\,\\ \u{E9}", "-, \u{E9}", "|"),
        ("(?<n>a)\\k<n>", "aab", "|b"),
        ("a(?#no)b", "ab", "|"),
        ("(?<=a)b(?!c)", "ab abc", "a| abc"),
        ("\\O", "a\u{A}", "||"),
        ("^.$", "a\u{A}b", "|\u{A}|"),
    ]) func isReadAsThere(pattern: String, text: String, expected: String) throws {
        let tokenizer = try Self.replacing(pattern)
        let result = tokenizer.decode(try tokenizer.encode(text))
        #expect(result.utf8.elementsEqual(expected.utf8), "\(pattern): \(result.debugDescription)")
    }

    /// Sets within sets, negated ones, and those that `&&` joins.
    @Test(arguments: [
        ("[a-z&&[^b]]", "|b B||\u{A}\u{4F60}H\u{754C} ||&! _\u{BD}1\u{E9}]-"),
        ("[^a-z&&[^b]]", "a|||cz|||||xm|||||||||"),
        ("[a[^b]]", "|b||||||||||||||||||||"),
        ("[a-w&&[^c-g]z]", "|| Bcz\u{A}\u{4F60}H\u{754C} x|&! _\u{BD}1\u{E9}]-"),
        ("[a-z&&b-y&&[^m]]", "a| B|z\u{A}\u{4F60}H\u{754C} |m&! _\u{BD}1\u{E9}]-"),
        ("[\\W&&[^ ]]", "ab Bcz|\u{4F60}H\u{754C} xm|| _|1\u{E9}||"),
        ("[^a[^b-d]]", "a| B|z\u{A}\u{4F60}H\u{754C} xm&! _\u{BD}1\u{E9}]-"),
        ("[a-c[x-z&&[^y]]]", "|| B||\u{A}\u{4F60}H\u{754C} |m&! _\u{BD}1\u{E9}]-"),
        ("[\\w&&\\W]", "ab Bcz\u{A}\u{4F60}H\u{754C} xm&! _\u{BD}1\u{E9}]-"),
        ("[a&&&b]", "ab Bcz\u{A}\u{4F60}H\u{754C} xm&! _\u{BD}1\u{E9}]-"),
        ("(?i)[a-z&&[^b]]", "|b B||\u{A}\u{4F60}|\u{754C} ||&! _\u{BD}1\u{E9}]-"),
        ("[[:^alpha:]]", "ab|Bcz|\u{4F60}H\u{754C}|xm||||||\u{E9}||"),
        ("[[:^alpha:]a]", "|b|Bcz|\u{4F60}H\u{754C}|xm||||||\u{E9}||"),
        ("[^[:^alpha:]a]", "a| |||\u{A}||| ||&! _\u{BD}1|]-"),
        ("[\\p{L}&&[^\\p{Han}]]+", "| |\u{A}\u{4F60}|\u{754C} |&! _\u{BD}1|]-"),
        ("[^\\r\\n\\p{L}&&[^\\p{Han}]]", "ab|Bcz\u{A}|H||xm||||||\u{E9}||"),
        ("[^\\W[^ab]]", "|| Bcz\u{A}\u{4F60}H\u{754C} xm&! _\u{BD}1\u{E9}]-"),
        ("[]&&[^a]]", "ab Bcz\u{A}\u{4F60}H\u{754C} xm&! _\u{BD}1\u{E9}|-"),
        ("[\\s&&[^\\n]]", "ab|Bcz\u{A}\u{4F60}H\u{754C}|xm&!|_\u{BD}1\u{E9}]-"),
        ("(?<=[a-z&&[^b]])b", "a| Bcz\u{A}\u{4F60}H\u{754C} xm&! _\u{BD}1\u{E9}]-"),
    ]) func setsAreJoinedAsThere(pattern: String, expected: String) throws {
        let text = "ab Bcz\u{A}\u{4F60}H\u{754C} xm&! _\u{BD}1\u{E9}]-"
        let tokenizer = try Self.replacing(pattern)
        let result = tokenizer.decode(try tokenizer.encode(text))
        #expect(result.utf8.elementsEqual(expected.utf8), "\(pattern): \(result.debugDescription)")
    }

    /// What PCRE2 would read in another way, or not at all, and the words of the refusal.
    @Test(arguments: [
        ("[a&&]", "'&&' with nothing"), ("[&&a]", "'&&' with nothing"), ("[[:^foo:]]", "'[:^foo:]'"),
        ("[[:foo:]]", "'[:foo:]'"), ("(?i)[[:upper:]]", "'[:upper:]'"), ("(?i:[\\p{Lu}])", "'\\p{Lu}' between"),
        ("(?x) a", "'(?x'"), ("(?s).", "'(?s'"),
        ("(?|a|b)", "'(?|'"), ("(*FAIL)", "'(*'"),
        ("(?P<n>a)", "'(?P'"), ("(?R)", "'(?R'"), ("(?~a)", "'(?~'"), ("\\Qa\\E", "'\\Q'"), ("\\g<0>", "'\\g'"),
        ("\\V", "'\\V'"), ("\\y", "'\\y'"), ("\\M-a", "'\\M'"), ("\\xC3", "'\\xC3'"), ("\\u12", "'\\u12'"),
        ("\\pL", "'\\p' without braces"), ("\\p{Nobody}", "the property 'Nobody'"),
        ("\\p{Script=Greek}", "the property 'Script=Greek'"), ("(?i)ss", "'ss' where case is ignored"),
        ("(?i:\u{DF})", "where case is ignored"), ("(?i)[\u{C0}-\u{FF}]", "where case is ignored"),
        ("[z-\\d]", "a range"), ("[a", "a bracket without an end"), ("a)", "closing parenthesis"),
        ("\\", "a backslash"),
        ("[\\R]", "'[\\R]'"), ("[[[[[[[[[[a]]]]]]]]]]", "more than 8 brackets"), ("(?<=a+)b", "fixed length"),
    ]) func whatIsReadOtherwiseIsRefused(pattern: String, words: String) throws {
        let error = #expect(throws: TokenizerError.self) { try Self.replacing(pattern) }
        #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
        #expect(error?.message.contains("\(pattern)") == true && error?.message.hasPrefix("patterns: ") == true)
    }
}
