import JSON

// tokenizer.json as the Hugging Face tokenizers library writes it. Parts we do not have are refused by name.

extension TokenizerDefinition {
    /// Reads a tokenizer.json. `file` is named in errors.
    package init(json: JSONValue, file: String) throws(TokenizerError) {
        let reader = DefinitionReader(file: file)
        guard json.object != nil else { throw reader.malformed("not a JSON object") }
        guard let model = json["model"], model.object != nil else { throw reader.malformed("no model") }
        try reader.checkModel(model)
        vocabulary = try reader.vocabulary(model)
        merges = try reader.merges(model)
        normalizers = try reader.normalizers(json["normalizer"] ?? .null)
        preTokenizers = try reader.preTokenizers(json["pre_tokenizer"] ?? .null)
        decoders = try reader.decoders(json["decoder"] ?? .null)
        addedTokens = try reader.addedTokens(json["added_tokens"] ?? .null)
        template = try reader.template(json["post_processor"] ?? .null)
        ignoresMerges = model["ignore_merges"]?.bool ?? false
        unknownToken = model["unk_token"]?.string
        fusesUnknown = model["fuse_unk"]?.bool ?? false
        fallsBackToBytes = model["byte_fallback"]?.bool ?? false
    }
}

extension TokenizerDefinition {
    struct DefinitionReader {
        let file: String

        func malformed(_ message: String) -> TokenizerError { TokenizerError(.malformed, "\(file): \(message)") }
        func unsupported(_ message: String) -> TokenizerError {
            TokenizerError(.unsupported, "\(file): \(message) is not supported; docs/models.md has what is")
        }

        func type(_ part: JSONValue, _ what: String) throws(TokenizerError) -> String {
            guard let type = part["type"]?.string else { throw malformed("\(what) has no type") }
            return type
        }

        /// The parts of a Sequence, or the part itself; null gives none.
        func parts(_ value: JSONValue, _ what: String, _ key: String) throws(TokenizerError) -> [JSONValue] {
            if value.isNull { return [] }
            guard try type(value, what) == "Sequence" else { return [value] }
            var result: [JSONValue] = []
            // Sequences may hold sequences: the parts of all of them, in order.
            var open = [value]
            while let part = open.popLast() {
                guard part["type"]?.string == "Sequence" else {
                    result.append(part)
                    continue
                }
                guard let parts = part[key]?.array else { throw malformed("\(what): a Sequence without \(key)") }
                open += parts.reversed()
            }
            guard result.count <= 64 else { throw malformed("\(what) has \(result.count) parts, beyond any real one") }
            return result
        }

        func checkModel(_ model: JSONValue) throws(TokenizerError) {
            // Old files have no type.
            let type = model["type"]?.string ?? "BPE"
            guard type == "BPE" else {
                throw TokenizerError(
                    .unsupported,
                    "\(file): a tokenizer of type \(type) (model.type) is not supported; use a model whose tokenizer is BPE"
                )
            }
            if let dropout = model["dropout"]?.double, dropout != 0 { throw unsupported("dropout \(dropout)") }
            for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
                if let value = model[key]?.string, !value.isEmpty { throw unsupported("\(key) '\(value)'") }
            }
        }

        func vocabulary(_ model: JSONValue) throws(TokenizerError) -> [VocabularyEntry] {
            guard let members = model["vocab"]?.object?.members, !members.isEmpty else {
                throw malformed("no vocabulary")
            }
            var result: [VocabularyEntry] = []
            result.reserveCapacity(members.count)
            for member in members {
                guard case .integer(let id) = member.value, let narrow = Int32(exactly: id), narrow >= 0 else {
                    throw malformed("token '\(member.key)' has no id")
                }
                result.append(VocabularyEntry(token: member.key, id: narrow))
            }
            return result
        }

        func merges(_ model: JSONValue) throws(TokenizerError) -> [Merge] {
            guard let values = model["merges"]?.array else { throw malformed("no merges") }
            var result: [Merge] = []
            result.reserveCapacity(values.count)
            for (rank, value) in values.enumerated() {
                switch value {
                case .string(let text):
                    if rank == 0, text.hasPrefix("#version") { continue }
                    guard let merge = Merge(text) else {
                        throw malformed("merge \(rank), '\(text)', is not two tokens")
                    }
                    result.append(merge)
                case .array(let pair):
                    guard pair.count == 2, let left = pair[0].string, let right = pair[1].string else {
                        throw malformed("merge \(rank) is not two tokens")
                    }
                    result.append(Merge(left: left, right: right))
                default: throw malformed("merge \(rank) is not two tokens")
                }
            }
            return result
        }

        func addedTokens(_ value: JSONValue) throws(TokenizerError) -> [AddedToken] {
            if value.isNull { return [] }
            guard let values = value.array else { throw malformed("added_tokens is not a list") }
            var result: [AddedToken] = []
            for value in values {
                guard let content = value["content"]?.string, let id = value["id"]?.int,
                    let narrow = Int32(exactly: id),
                    narrow >= 0
                else { throw malformed("an added token without content or id") }
                let isSpecial = value["special"]?.bool ?? false
                result.append(
                    AddedToken(
                        id: narrow, content: content, singleWord: value["single_word"]?.bool ?? false,
                        stripsLeft: value["lstrip"]?.bool ?? false, stripsRight: value["rstrip"]?.bool ?? false,
                        isNormalized: value["normalized"]?.bool ?? !isSpecial, isSpecial: isSpecial))
            }
            return result
        }

        func template(_ value: JSONValue) throws(TokenizerError) -> Template {
            var template = Template()
            for part in try parts(value, "post_processor", "processors") {
                switch try type(part, "post_processor") {
                case "ByteLevel": break  // Trims offsets, which we do not keep.
                case "TemplateProcessing":
                    guard let pieces = part["single"]?.array, pieces.count <= Template.maximumCount else {
                        throw malformed("post_processor has no single of at most \(Template.maximumCount) pieces")
                    }
                    var seenText = false
                    for piece in pieces {
                        if piece["Sequence"]?["id"]?.string == "A", !seenText {
                            seenText = true
                        } else if let name = piece["SpecialToken"]?["id"]?.string {
                            let values = part["special_tokens"]?[name]?["ids"]?.array ?? []
                            let ids = values.compactMap { $0.int.flatMap { Int32(exactly: $0) } }
                            guard !ids.isEmpty, ids.count == values.count else {
                                throw malformed("post_processor has no ids for '\(name)'")
                            }
                            if seenText { template.suffix += ids } else { template.prefix += ids }
                            guard template.prefix.count + template.suffix.count <= Template.maximumCount else {
                                throw malformed("post_processor adds more than \(Template.maximumCount) tokens")
                            }
                        } else {
                            throw malformed("post_processor has a piece that is neither the text nor a special token")
                        }
                    }
                    guard seenText else { throw malformed("post_processor leaves the text out") }
                case let type: throw unsupported("post-processor '\(type)'")
                }
            }
            return template
        }
    }
}

extension TokenizerDefinition.Merge {
    /// Two tokens with one space between, as in merges.txt.
    package init?(_ text: String) {
        let parts = text.utf8.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard parts.count == 2, let left = String(parts[0]), let right = String(parts[1]) else { return nil }
        self.init(left: left, right: right)
    }
}
