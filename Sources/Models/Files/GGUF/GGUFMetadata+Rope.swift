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
        case let type:
            throw ModelError(
                .unsupported, "\(file.path): rope scaling '\(type)' is not supported; none, linear and llama3 are")
        }
        guard let tensor = file.tensors.first(where: { $0.name == "rope_freqs.weight" }) else { return .none }
        guard tensor.shape == [dimension / 2], tensor.type == .f32 else {
            throw ModelError(.tensor, "\(file.path): tensor 'rope_freqs.weight' is not F32 [\(dimension / 2)]")
        }
        var factors = [Float](repeating: 0, count: dimension / 2)
        factors.withUnsafeMutableBufferPointer { out in
            file.withBytes(of: tensor) { tensor.type.dequantize($0, into: out) }
        }
        guard
            let scaling = RopeScaling.llama3(
                dividing: factors.map(Double.init), theta: theta, dimension: dimension, originalMaxPositions: original)
        else {
            throw ModelError(
                .unsupported,
                "\(file.path): tensor 'rope_freqs.weight' is no llama3 rope scaling; only that is supported"
            )
        }
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
