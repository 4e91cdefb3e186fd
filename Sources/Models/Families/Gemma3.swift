import JSON

extension Family {
    /// Gemma 3's text model, alone or as the text part of one that sees images: Gemma 2 without caps, with norms of
    /// queries and keys, five sliding layers to one that sees all, and another rotary base in these.
    ///
    /// Defaults are those of transformers' `Gemma3TextConfig`.
    package static let gemma3 = Family(
        name: "gemma3_text", title: "Gemma 3", architecture: "Gemma3ForCausalLM",
        defaults: Defaults(
            sizes: Sizes(vocabulary: 262_208, hidden: 2304, intermediate: 9216, layers: 26, heads: 8),
            keyValueHeadCount: 4, headDimension: 256, maxPositions: 131_072, tiedEmbeddings: true, bosTokenID: 2,
            eosTokenIDs: [1]),
        schema: ModelSchema(layer: .fourNorms, normOffset: 1), rope: nil,
        activationKey: "hidden_activation", activation: .geluTanh, roundsEmbeddingMultiplier: true,
        // transformers reads a cap of scores here and then leaves scores as they are.
        foreignKeys: rareKeys(without: "final_logit_softcapping"),
        gguf: GGUFForm(
            architecture: "gemma3",
            refusal: { $0.qkNorm ? nil : "a gemma3 model without norms of queries and keys is not supported" },
            readMetadata: { metadata, configuration in
                try metadata.readGemma(pattern: 6, divides: 62, &configuration)
                configuration.logitSoftCap = try metadata.optionalFloat("final_logit_softcapping")
                let theta = try metadata.optionalDouble("gemma3.rope.freq_base_swa") ?? 10000
                configuration.slidingRope = Rope(theta: theta)
                if !metadata.has("gemma3.rope.freq_base") { configuration.ropeTheta = 1_000_000 }
            }),
        readKeys: { reader, configuration in
            configuration.qkNorm = true
            try reader.readGemmaKeys(&configuration)
            configuration.logitSoftCap = try reader.softCap("final_logit_softcapping", absent: nil)
            try reader.readGemmaWindow(
                pattern: try reader.optionalInt("sliding_window_pattern") ?? 6, &configuration)
            try reader.readGemma3Ropes(&configuration)
        },
        writeKeys: { configuration, json in
            configuration.writeGemmaKeys(&json)
            configuration.writeGemma3Ropes(&json)
        })
}

extension ConfigReader {
    /// Two rotary embeddings: in version 5 a section each for layers that see all and for sliding ones, in version 4
    /// `rope_theta` and `rope_scaling` for the first and `rope_local_base_freq` for the second.
    fileprivate func readGemma3Ropes(_ configuration: inout ModelConfiguration) throws {
        func section(_ name: String, in value: JSONValue?) throws -> JSONValue? {
            guard let found = value?[name], !found.isNull else { return nil }
            guard found.object != nil else { throw malformed("\(name) is \(found.kindName); it must be an object") }
            return found
        }
        let parameters = try section("rope_parameters", in: json)
        let names = ["full_attention", "sliding_attention"]
        if let stray = parameters?.object?.members.first(where: { !names.contains($0.key) }) {
            throw unsupported("rope_parameters.\(stray.key) is not supported; \(names.joined(separator: " and ")) are")
        }
        let maxPositions = configuration.maxPositions
        func rope(_ name: String, overwritten: JSONValue? = nil, baseKey: String, theta: Double) throws -> Rope {
            var members = try section(name, in: parameters)?.object ?? JSONObject()
            for member in overwritten?.object?.members ?? [] { members[member.key] = member.value }
            let reader = ConfigReader(json: .object(members), file: file)
            if let part = try reader.optionalDouble("partial_rotary_factor"), part != 1 {
                throw unsupported("partial_rotary_factor \(part) is not supported for this family")
            }
            var scaling = try reader.scaling(RopeForm(), in: name, maxPositions: maxPositions, original: nil)
            if case .yarn(var yarn) = scaling {
                // The reference implementation does not look for the key within a section of this family.
                yarn.truncates = true
                scaling = .yarn(yarn)
            }
            return Rope(
                theta: try reader.optionalDouble("rope_theta") ?? optionalDouble(baseKey) ?? theta, scaling: scaling)
        }
        let main = try rope(
            names[0], overwritten: try section("rope_scaling", in: json), baseKey: "rope_theta", theta: 1_000_000)
        configuration.ropeTheta = main.theta
        configuration.ropeScaling = main.scaling
        configuration.slidingRope = try rope(names[1], baseKey: "rope_local_base_freq", theta: 10000)
    }
}

extension ModelConfiguration {
    /// Writes what the reader of both embeddings reads, for both versions. Version 4 has no scaling of the sliding
    /// layers' one.
    fileprivate func writeGemma3Ropes(_ json: inout JSONObject) {
        func section(_ rope: Rope) -> JSONValue {
            var members: JSONObject = ["rope_theta": .number(rope.theta)]
            members.members += rope.scaling.json.members
            return .object(members)
        }
        let sliding = slidingRope ?? rope
        json["rope_theta"] = .number(ropeTheta)
        json["rope_local_base_freq"] = .number(sliding.theta)
        json["rope_scaling"] = ropeScaling == .none ? .null : .object(ropeScaling.json)
        json["rope_parameters"] = ["full_attention": section(rope), "sliding_attention": section(sliding)]
    }
}
