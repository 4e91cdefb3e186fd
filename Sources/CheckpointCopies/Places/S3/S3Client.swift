import Wording

/// What a store is asked, with patience: a request that fails for want of a connection, or since the store is too busy, is
/// sent again.
struct S3Client: Sendable {
    let sender: any S3Sending
    let bucket: String
    /// What a person calls the place.
    let place: String

    /// Waits between attempts.
    private static let waits: [Duration] = [.milliseconds(500), .seconds(1), .seconds(2), .seconds(4)]
    /// Parts of a list that are read.
    private static let mostPages = 200
    /// Refusals that end with keys that have run out.
    private static let expired: Set<String> = ["ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"]

    /// Sends a request until it is answered.
    /// - Returns: the answer, or the refusal when its code is one of those that are awaited.
    func call(_ request: S3Request, awaiting codes: Set<String> = []) throws(PlaceError) -> Outcome {
        var attempt = 0, hasRenewed = false
        while true {
            let why: String, isFinal: Bool
            do throws(S3Failure) {
                let answer = try sender.send(request)
                // A request that takes long is answered before its end is known.
                let refusal = S3Refusal(answer.body)
                if (200..<300).contains(answer.status),
                    refusal == nil || request.sink != .memory || request.method == .get
                {
                    return .answer(answer)
                }
                if let refusal, codes.contains(refusal.code) { return .refused(refusal) }
                if let refusal, Self.expired.contains(refusal.code), !hasRenewed, sender.renew() {
                    hasRenewed = true
                    continue
                }
                why = Self.text(request, answer, refusal, bucket: bucket)
                isFinal = !Self.passes(answer.status, refusal)
            } catch {
                why = error.message
                isFinal = error.isFinal
            }
            guard !isFinal, attempt < Self.waits.count else { throw PlaceError(place, why) }
            sender.pause(Self.waits[attempt])
            attempt += 1
        }
    }

    enum Outcome {
        case answer(S3Answer)
        case refused(S3Refusal)
    }

    /// Sends a request that is to be done.
    @discardableResult
    func ask(_ request: S3Request) throws(PlaceError) -> S3Answer {
        switch try call(request) {
        case .answer(let answer): return answer
        case .refused(let refusal): throw PlaceError(place, refusal.code)
        }
    }

    /// All objects whose keys begin so.
    func list(_ prefix: String) throws(PlaceError) -> [S3Listing.Object] {
        var objects: [S3Listing.Object] = [], token: String?
        for _ in 0..<Self.mostPages {
            var request = S3Request(.get)
            if let token { request.query.append(("continuation-token", token)) }
            request.query += [("list-type", "2"), ("prefix", prefix)]
            guard let listing = S3Listing(try ask(request).body) else {
                throw PlaceError(place, "its list of objects is none of S3's; give the address of an S3 store")
            }
            objects += listing.objects
            guard let next = listing.next else { return objects }
            token = next
        }
        throw PlaceError(place, "it has more objects than copies have; give a prefix of its own")
    }

    /// Removes an object, which need not be there.
    func delete(_ key: String) throws(PlaceError) {
        _ = try call(S3Request(.delete, key: key), awaiting: ["NoSuchKey"])
    }

    /// Ends uploads in parts that nobody goes on with: their parts cost what objects cost, and no list has them.
    func endUploads(_ prefix: String) throws(PlaceError) {
        let request = S3Request(.get, query: [("prefix", prefix), ("uploads", "")])
        // Not every store and every key can list them; then they are its owner's to find.
        let outcome = try call(request, awaiting: ["AccessDenied", "NotImplemented", "MethodNotAllowed"])
        guard case .answer(let answer) = outcome, let uploads = S3Upload.list(answer.body) else { return }
        for upload in uploads where upload.key.hasPrefix(prefix) { try endUpload(upload) }
    }

    /// Gives an upload in parts up.
    func endUpload(_ upload: S3Upload) throws(PlaceError) {
        let request = S3Request(.delete, key: upload.key, query: [("uploadId", upload.id)])
        _ = try call(request, awaiting: ["NoSuchUpload"])
    }

    // MARK: Words

    /// Whether a store that answers so may do otherwise a moment later.
    private static func passes(_ status: Int, _ refusal: S3Refusal?) -> Bool {
        [200, 408, 429, 500, 502, 503, 504].contains(status)
            || ["SlowDown", "RequestTimeout", "InternalError"].contains(refusal?.code)
    }

    private static func text(_ request: S3Request, _ answer: S3Answer, _ refusal: S3Refusal?, bucket: String) -> String
    {
        let code = refusal.map { $0.code.isEmpty ? nil : $0.code } ?? nil
        let said = code.map { code in "\(code)\(refusal?.message.isEmpty == false ? ": \(refusal?.message ?? "")" : "")"
        }
        let isElsewhere = [301, 307].contains(answer.status) || code == "AuthorizationHeaderMalformed"
        if isElsewhere, let region = (answer.region ?? refusal?.region).map(S3Refusal.line) {
            return "the bucket '\(bucket)' is in the region \(region); set AWS_REGION=\(region)"
        }
        switch code {
        case "NoSuchBucket": return "there is no bucket '\(bucket)'; make it, or mend the address"
        case "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidClientTokenId", "InvalidToken":
            return "the credentials are refused (\(code ?? "")); check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and "
                + "AWS_SESSION_TOKEN, or your profile"
        case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired":
            return
                "the credentials have expired; write new ones to ~/.aws/credentials, or begin again with new variables"
        case "RequestTimeTooSkewed": return "the clock of this machine is wrong; set it"
        default: break
        }
        if answer.status == 401 || answer.status == 403 {
            return
                "access to the bucket '\(bucket)' is denied (\(said ?? "status \(answer.status)")); its credentials need "
                + "s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload there"
        }
        let what = request.key.map { "\(request.method.rawValue) \($0)" } ?? "\(request.method.rawValue) of the bucket"
        return "\(what): \(said ?? "status \(answer.status)")"
    }
}
