import Glibc

extension GGUFMetadata {
    /// The rotary scaling: of metadata, or of the tensor `rope_freqs.weight` that llama.cpp's converter makes for
    /// Llama 3.1 and later.
    func ropeScaling(
        architecture: String, theta: Double, dimension: Int, context: Int
    ) throws -> RopeScaling {
        func key(_ name: String) -> String { "\(architecture).rope.scaling.\(name)" }
        let original = try optionalInt(key("original_context_length"))
        switch try optionalString(key("type")) ?? "none" {
        case "none":
            // The key of files from before rope.scaling.*
            if let factor = try optionalDouble("\(architecture).rope.scale_linear"), factor != 1 {
                return .linear(factor: factor)
            }
        case "linear":
            let factor = try double(key("factor"))
            return factor == 1 ? .none : .linear(factor: factor)
        case "llama3":
            return .llama3(
                factor: try double(key("factor")), lowFrequencyFactor: try double(key("low_freq_factor")),
                highFrequencyFactor: try double(key("high_freq_factor")), originalMaxPositions: original ?? context)
        case "yarn": return .yarn(try yarn(architecture: architecture, original: original ?? context))
        case let type where type != "longrope":
            throw ModelError(
                .unsupported,
                "\(file.path): rope scaling '\(type)' is not supported; none, linear, llama3, yarn and longrope are")
        default: break
        }
        if let long = try ropeFactors("rope_factors_long.weight", dimension: dimension),
            let short = try ropeFactors("rope_factors_short.weight", dimension: dimension)
        {
            return .longRope(try longRope(short, long, architecture: architecture, context: context))
        }
        guard let factors = try ropeFactors("rope_freqs.weight", dimension: dimension) else { return .none }
        guard
            let scaling = RopeScaling.llama3(
                dividing: factors, theta: theta, dimension: dimension, originalMaxPositions: original)
        else {
            throw ModelError(
                .unsupported,
                "\(file.path): tensor 'rope_freqs.weight' is no llama3 rope scaling; only that is supported"
            )
        }
        return scaling
    }

    /// Factors of all frequencies in a tensor; nil when there is none of the name.
    private func ropeFactors(_ name: String, dimension: Int) throws -> [Double]? {
        guard let tensor = file.tensors.first(where: { $0.name == name }) else { return nil }
        guard tensor.shape == [dimension / 2], tensor.type == .f32 else {
            throw ModelError(.tensor, "\(file.path): tensor '\(name)' is not F32 [\(dimension / 2)]")
        }
        var factors = [Float](repeating: 0, count: dimension / 2)
        factors.withUnsafeMutableBufferPointer { out in
            file.withBytes(of: tensor) { tensor.type.dequantize($0, into: out) }
        }
        // As a person would write them: 1.05, not 1.0499999523162842.
        return factors.map { Double("\($0)") ?? Double($0) }
    }

    /// yarn as llama.cpp's operation computes it, which is as transformers does.
    private func yarn(architecture: String, original: Int) throws -> YarnScaling {
        func key(_ name: String) -> String { "\(architecture).rope.scaling.\(name)" }
        for name in ["yarn_ext_factor", "yarn_attn_factor", "yarn_log_multiplier"] {
            if let value = try optionalDouble(key(name)), value != (name == "yarn_log_multiplier" ? 0 : 1) {
                throw ModelError(.unsupported, "\(file.path): \(key(name)) \(value) is not supported")
            }
        }
        let factor = try double(key("factor"))
        return YarnScaling(
            factor: factor, originalMaxPositions: original, betaFast: try optionalDouble(key("yarn_beta_fast")) ?? 32,
            betaSlow: try optionalDouble(key("yarn_beta_slow")) ?? 1,
            attentionFactor: try optionalDouble(key("attn_factor")).map { $0 * YarnScaling.magnitude(factor: factor) })
    }

    private func longRope(
        _ short: [Double], _ long: [Double], architecture: String, context: Int
    ) throws -> LongRopeScaling {
        var scaling = LongRopeScaling(
            shortFactors: short, longFactors: long,
            originalMaxPositions: try int("\(architecture).rope.scaling.original_context_length"))
        guard scaling.originalMaxPositions > 1 else {
            throw ModelError(.malformed, "\(file.path): rope.scaling.original_context_length is no length")
        }
        // The file has what follows from the two lengths, in f32, or a factor of its own.
        let own = try optionalDouble("\(architecture).rope.scaling.attn_factor") ?? 1
        if abs(own - scaling.magnitude(maxPositions: context)) > 1e-6 * abs(own) { scaling.attentionFactor = own }
        return scaling
    }
}

extension RopeScaling {
    /// The llama3 scaling that divides frequency i by `factors[i]`; nil when none does within float accuracy.
    ///
    /// The parameters are not in the file, and any that give these factors are right. With r = 1 / wavelength, the blend between the two bounds is linear in r:
    /// (1/f - 1/factor) / (1 - 1/factor) = (original r - low) / (high - low). Llama's own values are tried first, then
    /// others with its low = 1 and high = 4, then those solved from two frequencies of the blend, with low = 1.
    static func llama3(
        dividing factors: [Double], theta: Double, dimension: Int, originalMaxPositions: Int?
    ) -> RopeScaling? {
        guard let factor = factors.max(), factors.allSatisfy({ $0.isFinite && $0 > 0 }) else { return nil }
        if factors.allSatisfy({ $0 == 1 }) { return RopeScaling.none }
        let rates = factors.indices.map { pow(theta, -2 * Double($0) / Double(dimension)) / (2 * Double.pi) }
        func reproduces(low: Double, high: Double, original: Int) -> Bool {
            for (index, rate) in rates.enumerated() {
                let wavelength = 1 / rate
                let expected: Double
                if wavelength < Double(original) / high {
                    expected = 1
                } else if wavelength > Double(original) / low {
                    expected = factor
                } else {
                    let smooth = (Double(original) * rate - low) / (high - low)
                    expected = 1 / ((1 - smooth) / factor + smooth)
                }
                if abs(expected - factors[index]) > 1e-4 * expected { return false }
            }
            return true
        }
        let blend = factors.indices.filter { factors[$0] > 1.0001 && factors[$0] < factor * 0.9999 }
        func smooth(_ index: Int) -> Double { (1 / factors[index] - 1 / factor) / (1 - 1 / factor) }
        // With low = 1 and high = 4, one frequency of the blend gives the original length; without any, every length
        // between the longest wavelength that is kept and the shortest that is divided does the same.
        var candidates = [originalMaxPositions, 8192].compactMap(\.self)
        if let only = blend.first { candidates.append(Int(min(1e9, ((1 + 3 * smooth(only)) / rates[only]).rounded()))) }
        if let firstDivided = factors.firstIndex(where: { $0 > factor * 0.9999 }) {
            candidates.append(Int(min(1e9, 1 / rates[firstDivided])))
        }
        for original in candidates where original >= 1 && reproduces(low: 1, high: 4, original: original) {
            return .llama3(
                factor: factor, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalMaxPositions: original)
        }
        guard let first = blend.first, let last = blend.last, first != last else { return nil }
        let slope = (smooth(first) - smooth(last)) / (rates[first] - rates[last])
        let offset = slope * rates[first] - smooth(first)
        guard slope > 0, offset > 0 else { return nil }
        let high = ((1 + 1 / offset) * 1000).rounded() / 1000
        let original = (slope * (high - 1)).rounded()
        guard original >= 1, original < 1e9, high > 1, reproduces(low: 1, high: high, original: Int(original)) else {
            return nil
        }
        return .llama3(
            factor: factor, lowFrequencyFactor: 1, highFrequencyFactor: high, originalMaxPositions: Int(original))
    }
}
