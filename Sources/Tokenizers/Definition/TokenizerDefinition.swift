/// Everything a tokenizer.json says about a BPE tokenizer: what turns text into ids and back.
package struct TokenizerDefinition: Sendable, Equatable {
    /// A token that is recognised in the text before everything else.
    package struct AddedToken: Sendable, Equatable {
        package var id: Int32
        package var content: String
        /// Whether it counts only where no word character touches it.
        package var singleWord = false
        /// Takes the white space before it along.
        package var stripsLeft = false
        /// Takes the white space after it along.
        package var stripsRight = false
        /// Searched for in the normalised text instead of the raw one.
        package var isNormalized = false
        /// Left out by `decode(skipSpecialTokens: true)`.
        package var isSpecial = true

        package init(
            id: Int32, content: String, singleWord: Bool = false, stripsLeft: Bool = false, stripsRight: Bool = false,
            isNormalized: Bool = false, isSpecial: Bool = true
        ) {
            self.id = id
            self.content = content
            self.singleWord = singleWord
            self.stripsLeft = stripsLeft
            self.stripsRight = stripsRight
            self.isNormalized = isNormalized
            self.isSpecial = isSpecial
        }
    }

    package struct VocabularyEntry: Sendable, Equatable {
        package var token: String
        package var id: Int32

        package init(token: String, id: Int32) {
            self.token = token
            self.id = id
        }
    }

    package struct Merge: Sendable, Equatable {
        package var left: String
        package var right: String

        package init(left: String, right: String) {
            self.left = left
            self.right = right
        }
    }

    /// A step that rewrites a text before it is cut.
    package enum Normalizer: Sendable, Equatable {
        case nfc
        case nfd
        case nfkc
        case nfkd
        case lowercase
        /// White space at the ends goes.
        case strip(left: Bool, right: Bool)
        /// A text that is not empty gets this before it.
        case prepend(String)
        case replace(Pattern, with: String)
    }

    package enum Pattern: Sendable, Equatable {
        case regex(String)
        case string(String)
    }

    /// What becomes of a pattern's matches.
    package enum SplitBehavior: String, Sendable, Equatable {
        case isolated = "Isolated"
        case removed = "Removed"
        case mergedWithPrevious = "MergedWithPrevious"
        case mergedWithNext = "MergedWithNext"
        case contiguous = "Contiguous"
    }

    /// SentencePiece's spelling of spaces.
    package struct Metaspace: Sendable, Equatable {
        package enum PrependScheme: String, Sendable {
            case always
            /// The piece with which the text itself begins, not those after an added token.
            case first
            case never
        }

        /// One character that stands for a space.
        package var replacement: String
        /// Which pieces of text get the replacement before them.
        package var prependScheme: PrependScheme
        /// Whether words begin at every replacement.
        package var splits: Bool

        package init(replacement: String = "\u{2581}", prependScheme: PrependScheme = .always, splits: Bool = true) {
            self.replacement = replacement
            self.prependScheme = prependScheme
            self.splits = splits
        }
    }

    /// A step that cuts a text into words.
    package enum PreTokenizer: Sendable, Equatable {
        case split(Pattern, SplitBehavior, invert: Bool)
        case digits(individual: Bool)
        case punctuation(SplitBehavior)
        /// Runs of word characters, and of others that are no white space.
        case whitespace
        case whitespaceSplit
        case metaspace(Metaspace)
        /// Bytes become the letters of the byte alphabet.
        case byteLevel(addPrefixSpace: Bool, useRegex: Bool)
    }

    /// A step that turns tokens into text.
    package enum Decoder: Sendable, Equatable {
        /// Letters of the byte alphabet become bytes.
        case byteLevel
        case metaspace(Metaspace)
        case replace(Pattern, with: String)
        /// Tokens like `<0x0A>` become bytes.
        case byteFallback
        /// All tokens become one.
        case fuse
        /// Up to `start` and `stop` characters that are `content` go at the ends.
        case strip(content: String, start: Int, stop: Int)
    }

    /// Ids put before and after a text by `encode(addSpecialTokens: true)`.
    package struct Template: Sendable, Equatable {
        package var prefix: [Int32] = []
        package var suffix: [Int32] = []

        /// Pieces, and ids, that a file's template may have. Real ones have one or two.
        static let maximumCount = 256

        package init(prefix: [Int32] = [], suffix: [Int32] = []) {
            self.prefix = prefix
            self.suffix = suffix
        }
    }

    package var vocabulary: [VocabularyEntry]
    package var merges: [Merge]
    package var addedTokens: [AddedToken] = []
    package var normalizers: [Normalizer] = []
    package var preTokenizers: [PreTokenizer]
    package var template = Template()
    package var decoders: [Decoder] = [.byteLevel]
    /// Characters that the vocabulary lacks become the tokens of their bytes, `<0x0A>`, where it has them all.
    package var fallsBackToBytes = false
    /// A whole word found in the vocabulary is taken as it is (Llama 3).
    package var ignoresMerges = false
    package var unknownToken: String?
    package var fusesUnknown = false

    package init(
        vocabulary: [VocabularyEntry], merges: [Merge], addedTokens: [AddedToken] = [],
        normalizers: [Normalizer] = [], preTokenizers: [PreTokenizer], template: Template = Template(),
        ignoresMerges: Bool = false
    ) {
        self.vocabulary = vocabulary
        self.merges = merges
        self.addedTokens = addedTokens
        self.normalizers = normalizers
        self.preTokenizers = preTokenizers
        self.template = template
        self.ignoresMerges = ignoresMerges
    }

    /// The pattern that ByteLevel splits with when told to (GPT-2's).
    package static let gpt2Pattern =
        #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
}
