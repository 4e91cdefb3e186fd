import JSON

/// What a family's configuration class makes of rotary keys.
package struct RopeForm: Sendable {
    /// The base where the file has none.
    package var theta = 10000.0
    /// The kinds of scaling that the family's class takes.
    package var scalings: Set<String> = ["default", "linear", "llama3", "yarn", "longrope"]
    /// Kinds under names of earlier files.
    package var renamed: [String: String] = [:]
    /// Whether a part of a head's columns may be left unturned.
    package var isPartial = false
    /// The original context where the file has none; nil: the section's own, or the whole context.
    package var originalMaxPositions: Int?
}

extension ConfigReader {
    /// Rotary base and scaling from `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling` (4).
    /// A file with both is read as transformers does: a `rope_scaling` that says something wins.
    /// - Returns: the embedding, and which part of a head's columns it turns.
    func rope(_ form: RopeForm, maxPositions: Int) throws -> (rope: Rope, partialFactor: Double) {
        let (section, nested) = try ropeSection()
        let reader = ConfigReader(json: nested ?? .object([:]), file: file)
        let theta = try reader.optionalDouble("rope_theta") ?? optionalDouble("rope_theta") ?? form.theta
        let partial =
            try reader.optionalDouble("partial_rotary_factor") ?? optionalDouble("partial_rotary_factor") ?? 1
        guard partial == 1 || form.isPartial else {
            throw unsupported("partial_rotary_factor \(partial) is not supported for this family")
        }
        for key in ["full_attention", "sliding_attention"] where nested?[key]?.object != nil {
            throw unsupported("\(section).\(key) is not supported for this family; one section for all layers is")
        }
        let scaling = try reader.scaling(
            form, in: section, maxPositions: maxPositions,
            original: try optionalInt("original_max_position_embeddings") ?? form.originalMaxPositions)
        return (Rope(theta: theta, scaling: scaling), partial)
    }

    /// The section that has the rotary keys, and its name.
    func ropeSection() throws -> (name: String, section: JSONValue?) {
        for name in ["rope_scaling", "rope_parameters"] {
            guard let section = json[name], !section.isNull else { continue }
            guard let object = section.object else {
                throw malformed("\(name) is \(section.kindName); it must be an object")
            }
            if !object.members.isEmpty { return (name, section) }
        }
        return ("rope_parameters", nil)
    }

    /// The scaling that this section of the file describes.
    /// - Parameter original: the original context, where one outside of the section counts.
    func scaling(_ form: RopeForm, in section: String, maxPositions: Int, original: Int?) throws -> RopeScaling {
        let named = json["rope_type"]?.string ?? json["type"]?.string ?? "default"
        let type = form.renamed[named] ?? named
        let known = ["default", "linear", "llama3", "yarn", "longrope"].filter(form.scalings.contains)
        guard known.contains(type) else {
            let list = known.dropLast().joined(separator: ", ") + " and " + (known.last ?? "")
            throw unsupported("rope type '\(named)' is not supported; \(list) are")
        }
        let originalMaxPositions =
            try original ?? optionalInt("original_max_position_embeddings") ?? maxPositions
        switch type {
        case "linear": return .linear(factor: try double("factor", in: section))
        case "llama3":
            return .llama3(
                factor: try double("factor", in: section),
                lowFrequencyFactor: try double("low_freq_factor", in: section),
                highFrequencyFactor: try double("high_freq_factor", in: section),
                originalMaxPositions: originalMaxPositions)
        case "yarn": return .yarn(try yarn(in: section, maxPositions: maxPositions, original: originalMaxPositions))
        case "longrope":
            return .longRope(
                LongRopeScaling(
                    shortFactors: try doubles("short_factor", in: section),
                    longFactors: try doubles("long_factor", in: section), originalMaxPositions: originalMaxPositions,
                    factor: try optionalDouble("factor"), attentionFactor: try optionalDouble("attention_factor")))
        default: return .none
        }
    }

    private func yarn(in section: String, maxPositions: Int, original: Int) throws -> YarnScaling {
        guard json["factor"] != nil, original > 0 else { throw malformed("\(section) has no factor") }
        let factor = try optionalDouble("factor") ?? Double(maxPositions) / Double(original)
        // 0 stands for the default of these, as in the reference implementation.
        func positive(_ key: String) throws -> Double? { try optionalDouble(key).flatMap { $0 == 0 ? nil : $0 } }
        var attention = try optionalDouble("attention_factor")
        if attention == nil, let scale = try positive("mscale"), let all = try positive("mscale_all_dim") {
            attention =
                YarnScaling.magnitude(factor: factor, multiplier: scale)
                / YarnScaling.magnitude(factor: factor, multiplier: all)
        }
        return YarnScaling(
            factor: factor, originalMaxPositions: original, betaFast: try positive("beta_fast") ?? 32,
            betaSlow: try positive("beta_slow") ?? 1, truncates: try bool("truncate", default: true),
            attentionFactor: attention)
    }

    /// A list of numbers, bounded by what a head can have.
    private func doubles(_ key: String, in section: String) throws -> [Double] {
        guard let values = json[key]?.array else { throw malformed("\(section) has no list \(key)") }
        guard values.count <= 1024 else { throw malformed("\(section).\(key) has \(values.count) numbers") }
        return try values.map {
            guard let number = $0.double else { throw malformed("\(section).\(key) is no list of numbers") }
            return number
        }
    }
}
