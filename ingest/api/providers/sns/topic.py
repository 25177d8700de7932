"""A topic of Amazon SNS, and the addresses that messages of it may name: those of SNS itself, in the topic's region."""

from __future__ import annotations

import re
from dataclasses import dataclass

from schemas.errors import Misconfigured, Reject

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html. The other partitions are closed networks.
_ARN = re.compile(r"arn:(aws|aws-us-gov|aws-cn):sns:([a-z]+(?:-[a-z]+)+-[0-9]+):[0-9]{12}:[A-Za-z0-9_-]{1,256}")
_DOMAINS = {"aws": "amazonaws.com", "aws-us-gov": "amazonaws.com", "aws-cn": "amazonaws.com.cn"}
_CERTIFICATE = re.compile(r"/SimpleNotificationService-[0-9a-f]{1,64}\.pem")
_SUBSCRIBE = re.compile(r"/\?[!-\"$-~]{1,2000}")  # visible ASCII, and no fragment


@dataclass(frozen=True, slots=True)
class SnsTopic:
    """A topic by its region, and the domain of the partition that the region is of."""

    region: str
    domain: str

    @classmethod
    def of(cls, arn: str) -> SnsTopic:
        """The topic of an ARN. Raises Misconfigured."""
        found = _ARN.fullmatch(arn)
        if found is None:
            raise Misconfigured(
                f"SENDLENS_SES_TOPICS has {arn[:300]!r}, which is no ARN of an SNS topic: "
                "arn:aws:sns:REGION:ACCOUNT:NAME, as the SNS console shows it"
            )
        return cls(found[2], _DOMAINS[found[1]])

    @property
    def host(self) -> str:
        """Where SNS answers in the region."""
        return f"sns.{self.region}.{self.domain}"

    @property
    def certificate_names(self) -> frozenset[str]:
        """Names of which one is in each certificate that SNS signs with in the region.

        Most regions have one in common; those to opt in to, GovCloud and China have their own, as the SDK for Java
        knows (SnsHostProvider.java of aws-sdk-java-v2).
        """
        names = {f"{name}.{self.domain}" for name in ("sns", f"sns-{self.region}", f"sns-signing.{self.region}")}
        if self.region.startswith("us-gov-"):
            names.add(f"sns-us-gov-west-1.{self.domain}")
        return frozenset(names)

    def check_certificate_url(self, url: str) -> None:
        """Raise Reject unless a certificate of SNS has this address.

        Nothing else on the host will do: answers of SNS's API hold what strangers wrote.
        """
        self._check(url, _CERTIFICATE, "SigningCertURL", "a certificate")

    def check_subscribe_url(self, url: str) -> None:
        """Raise Reject unless a subscription is confirmed at this address."""
        self._check(url, _SUBSCRIBE, "SubscribeURL", "a confirmation")

    def _check(self, url: str, path: re.Pattern[str], field: str, what: str) -> None:
        # Compared as text: two readers of an address may find two hosts in it.
        start = f"https://{self.host}"
        if not url.startswith(start) or path.fullmatch(url, len(start)) is None:
            raise Reject("signature", f"{field} is not the address of {what} at {start}, where the topic is")
