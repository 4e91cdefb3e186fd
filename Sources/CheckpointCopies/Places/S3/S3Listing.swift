import Wording

/// A part of what a store says that it has.
package struct S3Listing: Sendable, Equatable {
    package struct Object: Sendable, Equatable {
        package var key: String
        package var size: UInt64

        package init(key: String, size: UInt64) {
            self.key = key
            self.size = size
        }
    }

    package var objects: [Object]
    /// What to ask with for what follows; nil: that was all.
    package var next: String?

    /// Reads an answer of ListObjectsV2; nil: it is none.
    package init?(_ bytes: [UInt8]) {
        guard let root = XMLElement(bytes), root.name == "ListBucketResult" else { return nil }
        objects = []
        for child in root.children where child.name == "Contents" {
            guard let key = child["Key"], let size = child["Size"].flatMap({ UInt64($0) }) else { return nil }
            objects.append(Object(key: key, size: size))
        }
        guard let isCut = root["IsTruncated"] else { return nil }
        next = isCut == "true" ? root["NextContinuationToken"] : nil
        // What is cut and does not say where would be taken for all.
        if isCut == "true", next?.isEmpty != false { return nil }
    }
}

/// An upload in parts that is under way.
package struct S3Upload: Sendable, Equatable {
    package var key: String
    package var id: String

    package init(key: String, id: String) {
        self.key = key
        self.id = id
    }

    /// Reads an answer of ListMultipartUploads; nil: it is none.
    package static func list(_ bytes: [UInt8]) -> [S3Upload]? {
        guard let root = XMLElement(bytes), root.name == "ListMultipartUploadsResult" else { return nil }
        return root.children.filter { $0.name == "Upload" }.compactMap { child in
            child["Key"].flatMap { key in child["UploadId"].map { S3Upload(key: key, id: $0) } }
        }
    }
}

/// Why a store refuses a request.
package struct S3Refusal: Sendable, Equatable {
    package var code: String
    package var message: String
    package var region: String?

    /// Reads a refusal; nil: it is none.
    package init?(_ bytes: [UInt8]) {
        guard let root = XMLElement(bytes), root.name == "Error" else { return nil }
        code = Self.line(root["Code"] ?? "")
        message = Self.line(root["Message"] ?? "")
        region = root["Region"].map(Self.line)
    }

    /// What a terminal can show, in one line.
    static func line(_ text: String) -> String {
        String(text.unicodeScalars.prefix(200).map { $0.isControl ? " " : Character($0) })
    }
}

/// The parts in which a file is sent.
package enum S3Parts {
    /// The most parts of an object, as stores have it.
    package static let most: UInt64 = 10_000

    /// Offset and size of each part; one: it is sent as it is.
    /// - Parameter size: of a part, unless the file has too many of it.
    package static func plan(of total: UInt64, size: UInt64) -> [(offset: UInt64, count: UInt64)] {
        guard total > size else { return [(0, total)] }
        // Whole mebibytes, so that parts of a large file are no odd sizes.
        let unit: UInt64 = 1 << 20
        let least = (total / most / unit + 1) * unit
        let size = total / size < most ? size : max(size, least)
        return stride(from: 0, to: total, by: Int(size)).map { ($0, min(size, total - $0)) }
    }
}
