import Wire

extension WeightManifest {
    /// Checks that weights which a learner sent are those that this manifest describes.
    ///
    /// - Parameters:
    ///   - bytes: the weights, in the layout of `sent`.
    ///   - sent: what the learner's announcement says of them.
    ///   - use: what this worker does with matrices of its own type: "computes in", "takes".
    /// - Throws: `EngineError` that names the first difference and what to do.
    package func accept(_ bytes: WeightBytes, _ sent: WeightManifest, version: UInt64, use: String) throws {
        guard sent.matrixType == matrixType else {
            throw EngineError(
                "the learner sends \(sent.matrixType.rawValue) weights, but this worker \(use) "
                    + "\(matrixType.rawValue); give both the same student.dtype")
        }
        let advice = "give learner and worker the same student.model and lora section"
        guard bytes.count == byteCount else {
            throw EngineError(
                "weights of version \(version) have \(bytes.count) bytes, but this worker's student takes "
                    + "\(byteCount); \(advice)")
        }
        if let difference = difference(from: sent) {
            throw EngineError(
                "weights of version \(version) are not those of this worker's student: \(difference); \(advice)")
        }
    }
}
