extension WeightType {
    init(_ value: PBElementType, _ what: @autoclosure () -> String) throws(WireError) {
        switch value {
        case .f32: self = .f32
        case .bf16: self = .bf16
        case .unspecified, .UNRECOGNIZED:
            throw WireError(.unknownKind, "\(what()): unknown element type \(value.rawValue)")
        }
    }
}

extension PBElementType {
    init(_ type: WeightType) {
        switch type {
        case .f32: self = .f32
        case .bf16: self = .bf16
        }
    }
}

extension WeightManifest {
    fileprivate func check(_ limits: WireLimits) throws(WireError) {
        try Check.positive(byteCount, "weights_announce: byte_count")
        try Check.require(
            byteCount <= limits.snapshotBytes, .oversized,
            "weights_announce: \(byteCount) bytes are above the limit of \(limits.snapshotBytes)")
        try Check.items(tensors.count, "tensors", limits)
        for tensor in tensors { try Check.string(tensor.name, "weights_announce: tensor", limits) }
        if let flaw { throw WireError(.invalidValue, "weights_announce: \(flaw)") }
    }

    /// The announcement as it was sent, not checked.
    fileprivate init(_ value: PBWeightsAnnounce) throws(WireError) {
        var tensors: [Tensor] = []
        tensors.reserveCapacity(value.tensors.count)
        for tensor in value.tensors {
            tensors.append(
                Tensor(
                    name: tensor.name, shape: tensor.shape.map { Int($0) },
                    type: try WeightType(tensor.type, "weights_announce: a tensor"),
                    byteOffset: Int(clamping: tensor.byteOffset)))
        }
        self.init(
            matrixType: try WeightType(value.matrixType, "weights_announce: matrix_type"), tensors: tensors,
            byteCount: Int(clamping: value.byteCount))
    }
}

extension PBWeightTensor {
    /// - Parameter value: was checked.
    fileprivate init(_ value: WeightManifest.Tensor) {
        self.init()
        name = value.name
        shape = value.shape.map { UInt32($0) }
        type = PBElementType(value.type)
        byteOffset = UInt64(value.byteOffset)
    }
}

extension WeightsAnnounce {
    fileprivate func check(_ limits: WireLimits) throws(WireError) {
        try manifest.check(limits)
        try Check.positive(chunkByteCount, "weights_announce: chunk_byte_count")
        try Check.require(
            chunkByteCount <= limits.frameBytes, .oversized,
            "weights_announce: chunks of \(chunkByteCount) bytes are above the limit of \(limits.frameBytes)")
        let expected = (byteCount - 1) / chunkByteCount + 1
        try Check.require(
            chunkCount == expected, .lengthMismatch,
            "weights_announce: \(chunkCount) chunks, but \(byteCount) bytes in chunks of \(chunkByteCount) are \(expected)"
        )
        try Check.string(sharedMemoryPath ?? "", "weights_announce: shared_memory_path", limits)
        try Check.string(hostID, "weights_announce: host_id", limits)
        try Check.items(differences.count, "differences", limits)
        var lowest: UInt64 = 0
        for difference in differences {
            try Check.positive(difference.byteCount, "weights_announce: a difference's byte_count")
            try Check.require(
                difference.byteCount < byteCount, .invalidValue,
                "weights_announce: a difference has \(difference.byteCount) bytes, and the snapshot \(byteCount)")
            try Check.require(
                (lowest..<max(version, lowest)).contains(difference.baseVersion), .invalidValue,
                "weights_announce: bases of differences do not ascend to below \(version)")
            lowest = difference.baseVersion + 1
        }
    }

    init(_ value: PBWeightsAnnounce, _ limits: WireLimits) throws(WireError) {
        self.init(
            version: value.version, manifest: try WeightManifest(value), chunkByteCount: Int(value.chunkByteCount),
            chunkCount: Int(value.chunkCount), checksum: value.checksum,
            sharedMemoryPath: value.sharedMemoryPath.isEmpty ? nil : value.sharedMemoryPath, hostID: value.hostID,
            differences: value.differences.map {
                AnnouncedDifference(baseVersion: $0.baseVersion, byteCount: Int(clamping: $0.byteCount))
            })
        try check(limits)
    }
}

extension PBWeightsAnnounce {
    init(_ value: WeightsAnnounce, _ limits: WireLimits) throws(WireError) {
        try value.check(limits)
        self.init()
        version = value.version
        byteCount = UInt64(value.byteCount)
        chunkByteCount = try Check.uint32(value.chunkByteCount, "weights_announce: chunk_byte_count")
        chunkCount = try Check.uint32(value.chunkCount, "weights_announce: chunk_count")
        checksum = value.checksum
        sharedMemoryPath = value.sharedMemoryPath ?? ""
        hostID = value.hostID
        matrixType = PBElementType(value.manifest.matrixType)
        tensors = value.manifest.tensors.map { PBWeightTensor($0) }
        differences = value.differences.map { PBWeightDifference($0) }
    }
}

extension PBWeightDifference {
    /// - Parameter value: was checked.
    fileprivate init(_ value: AnnouncedDifference) {
        self.init()
        baseVersion = value.baseVersion
        byteCount = UInt64(value.byteCount)
    }
}

extension WeightsRequest {
    init(_ value: PBWeightsRequest) throws(WireError) {
        self.init(
            version: value.version, firstChunk: Int(value.firstChunk), credit: Int(value.credit),
            baseVersion: value.hasBaseVersion ? value.baseVersion : nil)
        try Check.positive(credit, "weights_request: credit")
    }
}

extension PBWeightsRequest {
    init(_ value: WeightsRequest) throws(WireError) {
        try Check.positive(value.credit, "weights_request: credit")
        self.init()
        version = value.version
        firstChunk = try Check.uint32(value.firstChunk, "weights_request: first_chunk")
        credit = try Check.uint32(value.credit, "weights_request: credit")
        if let base = value.baseVersion { baseVersion = base }
    }
}

extension WeightsChunk {
    init(_ value: PBWeightsChunk, _ arrays: inout ArrayReader) throws(WireError) {
        self.init(
            version: value.version, index: Int(value.index), checksum: value.checksum,
            payload: try arrays.takeWeightBytes(), baseVersion: value.hasBaseVersion ? value.baseVersion : nil)
    }
}

extension PBWeightsChunk {
    init(_ value: WeightsChunk, _ arrays: inout ArrayWriter) throws(WireError) {
        self.init()
        version = value.version
        index = try Check.uint32(value.index, "weights_chunk: index")
        checksum = value.checksum
        if let base = value.baseVersion { baseVersion = base }
        try arrays.appendWeightBytes(value.payload)
    }
}
