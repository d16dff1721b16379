"""What Dispatcharr takes of a manifest; whatever does not validate vanishes."""

from rest_framework import serializers


class PluginActionSerializer(serializers.Serializer):
    """A button."""

    id = serializers.CharField()
    label = serializers.CharField()
    description = serializers.CharField(required=False, allow_blank=True)
    confirm = serializers.JSONField(required=False)
    button_label = serializers.CharField(required=False, allow_blank=True)
    button_variant = serializers.CharField(required=False, allow_blank=True)
    button_color = serializers.CharField(required=False, allow_blank=True)
    events = serializers.ListField(child=serializers.CharField(), required=False, allow_empty=True)


class OptionSerializer(serializers.Serializer):
    """A choice of a select field."""

    value = serializers.CharField()
    label = serializers.CharField()


class PluginFieldSerializer(serializers.Serializer):
    """A field of the form."""

    id = serializers.CharField()
    label = serializers.CharField(required=False, allow_blank=True)
    type = serializers.ChoiceField(choices=["string", "number", "boolean", "select", "text", "info"])
    default = serializers.JSONField(required=False)
    help_text = serializers.CharField(required=False, allow_blank=True)
    description = serializers.CharField(required=False, allow_blank=True)
    placeholder = serializers.CharField(required=False, allow_blank=True)
    input_type = serializers.CharField(required=False, allow_blank=True)
    min = serializers.FloatField(required=False)
    max = serializers.FloatField(required=False)
    step = serializers.FloatField(required=False)
    value = serializers.CharField(required=False, allow_blank=True)
    options = OptionSerializer(many=True, required=False)


def taken(serializer, entries):
    """Those entries of a list that validate, as they come out."""
    each = [serializer(data=entry) for entry in entries or []]
    return [entry.validated_data for entry in each if entry.is_valid()]
