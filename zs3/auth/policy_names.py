"""What policies can speak of: the actions and the condition keys of S3.  Pure tables.

Source: Service Authorization Reference, "Actions, resources, and condition keys for
Amazon S3"; IAM User Guide, "AWS global condition context keys".
"""

from __future__ import annotations


def _names(prefix: str, text: str) -> frozenset[str]:
    return frozenset(prefix + name for name in text.split())


#: On objects: their resource is ``bucket/key``.
OBJECT_ACTIONS = _names(
    "s3:",
    "AbortMultipartUpload BypassGovernanceRetention DeleteObject DeleteObjectTagging DeleteObjectVersion"
    " DeleteObjectVersionTagging GetObject GetObjectAcl GetObjectAttributes GetObjectLegalHold GetObjectRetention"
    " GetObjectTagging GetObjectTorrent GetObjectVersion GetObjectVersionAcl GetObjectVersionAttributes"
    " GetObjectVersionForReplication GetObjectVersionTagging GetObjectVersionTorrent InitiateReplication"
    " ListMultipartUploadParts ObjectOwnerOverrideToBucketOwner PutObject PutObjectAcl PutObjectLegalHold"
    " PutObjectRetention PutObjectTagging PutObjectVersionAcl PutObjectVersionTagging ReplicateDelete"
    " ReplicateObject ReplicateTags RestoreObject UpdateObjectEncryption",
)
#: On a bucket: their resource is its name.
BUCKET_ACTIONS = _names(
    "s3:",
    "CreateBucket CreateBucketMetadataTableConfiguration DeleteBucket"
    " DeleteBucketMetadataTableConfiguration DeleteBucketPolicy DeleteBucketWebsite GetAccelerateConfiguration"
    " GetAnalyticsConfiguration GetBucketAbac GetBucketAcl GetBucketCORS GetBucketLocation GetBucketLogging"
    " GetBucketMetadataTableConfiguration GetBucketNotification GetBucketObjectLockConfiguration"
    " GetBucketOwnershipControls GetBucketPolicy GetBucketPolicyStatus GetBucketPublicAccessBlock"
    " GetBucketRequestPayment GetBucketTagging GetBucketVersioning GetBucketWebsite GetEncryptionConfiguration"
    " GetIntelligentTieringConfiguration GetInventoryConfiguration GetLifecycleConfiguration"
    " GetMetricsConfiguration GetReplicationConfiguration ListBucket ListBucketMultipartUploads ListBucketVersions"
    " ListTagsForResource PostBucketLogging PutAccelerateConfiguration PutAnalyticsConfiguration PutBucketAbac"
    " PutBucketAcl PutBucketCORS PutBucketLogging PutBucketNotification PutBucketObjectLockConfiguration"
    " PutBucketOwnershipControls PutBucketPolicy PutBucketPublicAccessBlock PutBucketRequestPayment"
    " PutBucketTagging PutBucketVersioning PutBucketWebsite PutEncryptionConfiguration"
    " PutIntelligentTieringConfiguration PutInventoryConfiguration PutLifecycleConfiguration"
    " PutMetricsConfiguration PutReplicationConfiguration TagResource UntagResource"
    " UpdateBucketMetadataInventoryTableConfiguration UpdateBucketMetadataJournalTableConfiguration",
)
#: MinIO's: AWS has no such operation.
BUCKET_ACTIONS |= {"s3:ListenBucketNotification"}
#: On neither, though a wildcard may stand for them.
OTHER_ACTIONS = _names("s3:", "ListAllMyBuckets GetAccountPublicAccessBlock PutAccountPublicAccessBlock CreateSession")

VERSION_ID = "s3:versionid"
#: What the names of all keys about the lock that a request asks for begin with.
LOCK_KEYS = "s3:object-lock-"
EXISTING_TAG, REQUEST_TAG, REQUEST_TAG_KEYS = "s3:existingobjecttag/", "s3:requestobjecttag/", "s3:requestobjecttagkeys"

#: Keys that a request here can have a value of, in their normal form; one that ends with ``/`` stands for all that
#: begin so.
KEYS = _names(
    "",
    "aws:currenttime aws:epochtime aws:principalaccount aws:principalarn aws:principalisawsservice"
    " aws:principaltype aws:referer aws:requestedregion aws:resourceaccount aws:securetransport aws:sourceip"
    " aws:useragent aws:userid aws:username aws:viaawsservice"
    " s3:authtype s3:delimiter s3:if-match s3:if-none-match s3:max-keys"
    " s3:object-lock-legal-hold s3:object-lock-mode s3:object-lock-remaining-retention-days"
    " s3:object-lock-retain-until-date s3:objectcreationoperation s3:prefix s3:requestobjecttagkeys"
    " s3:resourceaccount s3:signatureage"
    " s3:signatureversion s3:tlsversion s3:versionid s3:x-amz-acl s3:x-amz-content-sha256 s3:x-amz-copy-source"
    " s3:x-amz-grant-full-control s3:x-amz-grant-read s3:x-amz-grant-read-acp s3:x-amz-grant-write"
    " s3:x-amz-grant-write-acp s3:x-amz-metadata-directive s3:x-amz-object-ownership"
    " s3:x-amz-server-side-encryption s3:x-amz-server-side-encryption-aws-kms-key-id"
    " s3:x-amz-server-side-encryption-customer-algorithm s3:x-amz-storage-class s3:x-amz-website-redirect-location"
    " s3:existingobjecttag/ s3:requestobjecttag/",
)
#: Keys of AWS that no request here has: there are no organizations, roles, sessions, access points, private networks.
NEVER = _names(
    "",
    "aws:calledvia aws:calledviafirst aws:calledvialast aws:chatbotsourcearn aws:ec2instancesourcevpc"
    " aws:ec2instancesourceprivateipv4 aws:federatedprovider aws:multifactorauthage aws:multifactorauthpresent"
    " aws:principalorgid aws:principalorgpaths aws:principalservicename aws:principalservicenameslist"
    " aws:resourceorgid aws:resourceorgpaths aws:sourceaccount aws:sourcearn aws:sourceidentity aws:sourceorgid"
    " aws:sourceorgpaths aws:sourceowner aws:sourcevpc aws:sourcevpce aws:tagkeys aws:tokenissuetime"
    " aws:vpceaccount aws:vpceorgid aws:vpceorgpaths aws:vpcsourceip"
    " s3:accesspointnetworkorigin s3:accessgrantsinstancearn s3:dataaccesspointaccount s3:dataaccesspointarn"
    " s3:destinationregion s3:locationconstraint s3:inventoryaccessibleoptionalfields s3:isreplicationpauserequest"
    " aws:principaltag/ aws:requesttag/ aws:resourcetag/ s3:buckettag/",
)


def is_action(name: str) -> bool:
    """Whether there is an action, in the case of IAM."""
    return name in BUCKET_ACTIONS or name in OBJECT_ACTIONS or name in OTHER_ACTIONS


def is_of_object(action: str) -> bool:
    """Whether the resource of an action is an object."""
    return action in OBJECT_ACTIONS


def is_known_key(key: str) -> bool:
    """Whether AWS has a condition key, given in its normal form."""
    head, slash, tag = key.partition("/")
    name = head + slash
    return bool(tag or not slash) and (name in KEYS or name in NEVER)
